"""Checkpoints from which a killed training goes on exactly where it was.

A folder ``checkpoint-00000050`` holds everything that later steps depend on. It appears under its
name when it is whole and on disk; the one before it is removed only then. One that cannot be read
all the same is removed with a warning, since it would fail every later attempt.
"""

import errno
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from bakeoff.worker.failures import JobError, is_out_of_memory
from bakeoff.worker.machine import write_json_atomic

_NAME = "checkpoint-"
_UNFINISHED = ".checkpoint.new"
_UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,  # torch on a torn archive
    ValueError,
)


@dataclass(frozen=True)
class Checkpoint:
    """All of one checkpoint, in the memory of the host."""

    step: int
    """Number of steps done in it."""

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    random_states: list[dict[str, Any]]
    """Of each process that trained."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training in its run directory."""

    folder: Path
    job_digest: str
    """A checkpoint of another job is not used."""

    def save(
        self,
        step: int,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, Any],
        random_states: Sequence[Mapping[str, Any]],
    ) -> None:
        """Keep the state after ``step`` steps instead of any before."""
        from safetensors.torch import save_file

        unfinished = self.folder / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        whole = {name: value.detach().contiguous() for name, value in weights.items()}
        save_file(whole, unfinished / "weights.safetensors")
        torch.save(dict(optimizer), unfinished / "optimizer.pt")
        torch.save(list(random_states), unfinished / "random.pt")
        write_json_atomic(unfinished / "state.json", {"step": step, "job_digest": self.job_digest})
        for path in unfinished.iterdir():
            _force_to_disk(path)
        older = self._all()
        unfinished.rename(self._path(step))
        for path in older:
            shutil.rmtree(path)

    def read(self, step: int, names: Iterable[str]) -> Checkpoint:
        """That after ``step`` steps, which is known to be there.

        Args:
            step: how many.
            names: of the trained weights, which must be in it.

        Raises:
            JobError: it is of another job after all.
        """
        found = self._read(self._path(step), names)
        if found is None:
            raise JobError(f"The checkpoint after step {step} is of another job.")
        return found

    def newest(self, names: Iterable[str], warn: Callable[[str], None]) -> Checkpoint | None:
        """The last checkpoint of this job that can be read.

        Args:
            names: of the trained weights, which must be in it.
            warn: is told of each checkpoint that cannot be read; such a one is removed.
        """
        for path in reversed(self._all()):
            try:
                found = self._read(path, names)
            except _UNREADABLE as error:
                if not _is_damage(error):
                    raise
                reason = f"{type(error).__name__}: {error}"
            else:
                if found is not None:
                    return found
                continue
            warn(f"The checkpoint {path.name} cannot be read and is left out ({reason}).")
            shutil.rmtree(path, ignore_errors=True)
        return None

    def remove_all(self) -> None:
        for path in (*self._all(), self.folder / _UNFINISHED):
            shutil.rmtree(path, ignore_errors=True)

    def _read(self, path: Path, names: Iterable[str]) -> Checkpoint | None:
        """None when it is of another job."""
        from safetensors.torch import load_file

        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state["job_digest"] != self.job_digest:
            return None
        optimizer, random_states = (
            torch.load(path / name, weights_only=True, map_location="cpu")
            for name in ("optimizer.pt", "random.pt")
        )
        weights = load_file(path / "weights.safetensors")
        return Checkpoint(
            state["step"], {name: weights[name] for name in names}, optimizer, random_states
        )

    def _path(self, step: int) -> Path:
        return self.folder / f"{_NAME}{step:08d}"

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_NAME}*"))


def _is_damage(error: Exception) -> bool:
    """False for a trouble that may pass, such as too little memory or a disk that is away."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return error.errno == errno.EINVAL  # what torch says of a torn archive
    return not is_out_of_memory(error)


def _force_to_disk(path: Path) -> None:
    """A rename may reach the disk before the contents of the renamed do."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def random_state() -> dict[str, Any]:
    """Of all generators of this process."""
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Bring this process's generators to where others, or its own, were."""
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
