"""Checkpoints from which a killed training goes on exactly where it was.

A folder ``checkpoint-00000050`` holds everything that later steps depend on. It appears under its
name when it is whole; the one before it is removed only then.
"""

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bakeoff.worker.machine import write_json_atomic

_NAME = "checkpoint-"
_UNFINISHED = ".checkpoint.new"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training in its run directory."""

    folder: Path
    job_digest: str
    """A checkpoint of another job is not used."""

    def save(
        self, step: int, trained: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Keep the state after ``step`` steps instead of any before."""
        from safetensors.torch import save_file

        unfinished = self.folder / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        weights = {name: parameter.detach().contiguous() for name, parameter in trained.items()}
        save_file(weights, unfinished / "weights.safetensors")
        torch.save(optimizer.state_dict(), unfinished / "optimizer.pt")
        torch.save(_random_state(), unfinished / "random.pt")
        write_json_atomic(unfinished / "state.json", {"step": step, "job_digest": self.job_digest})
        older = self._all()
        unfinished.rename(self.folder / f"{_NAME}{step:08d}")
        for path in older:
            shutil.rmtree(path)

    def newest(self) -> tuple[int, Path] | None:
        """The last whole checkpoint of this job and the number of steps done in it."""
        for path in reversed(self._all()):
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            if state["job_digest"] == self.job_digest:
                return state["step"], path
        return None

    def remove_all(self) -> None:
        for path in (*self._all(), self.folder / _UNFINISHED):
            shutil.rmtree(path, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_NAME}*"))


def restore(
    path: Path, trained: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Bring weights, optimiser and random generators to the state in ``path``."""
    from safetensors.torch import load_file

    weights = load_file(path / "weights.safetensors")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(weights[name])
    optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True))
    _set_random_state(torch.load(path / "random.pt", weights_only=True))


def _random_state() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
