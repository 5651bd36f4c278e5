"""The framework's own checkpoints: which of them are whole, and of this job.

transformers writes a checkpoint under its final name from the start and its ``trainer_state.json``
last, so a kill leaves folders that only look usable; those are removed. The folder that holds the
checkpoints is noted as this job's, since one of another job would be gone on from just the same.

Accepted trade-off: a power cut in the seconds after a checkpoint may tear it.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bakeoff.worker.machine import write_json_atomic

_OWNER = "job.json"
_STATE = "trainer_state.json"


@dataclass(frozen=True)
class FrameworkCheckpoints:
    output_dir: Path
    job_digest: str

    def newest(self) -> tuple[Path, int] | None:
        """The last whole checkpoint and the steps done in it; those that are not whole go."""
        self._take_over()
        found = []
        for path in self.output_dir.glob("checkpoint-*"):
            step = _step(path)
            if step is None:
                shutil.rmtree(path, ignore_errors=True)
            else:
                found.append((step, path))
        if not found:
            # A kill after the last step leaves a model here, over which LLaMA-Factory never starts.
            self._start_afresh()
            return None
        step, path = max(found)
        return path, step

    def keep(self, step: int) -> None:
        """Force to disk what the framework has written after ``step`` steps."""
        for path in (self.output_dir / f"checkpoint-{step}").rglob("*"):
            if path.is_file():
                with path.open("r+b") as file:
                    os.fsync(file.fileno())

    def _take_over(self) -> None:
        """Leave nothing of another job."""
        owner = self.output_dir / _OWNER
        if not owner.is_file() or json.loads(owner.read_text(encoding="utf-8")) != self._mine:
            self._start_afresh()

    def _start_afresh(self) -> None:
        shutil.rmtree(self.output_dir, ignore_errors=True)
        self.output_dir.mkdir(parents=True)
        write_json_atomic(self.output_dir / _OWNER, self._mine)

    @property
    def _mine(self) -> dict[str, str]:
        return {"job_digest": self.job_digest}


def _step(path: Path) -> int | None:
    try:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return int(state["global_step"])
