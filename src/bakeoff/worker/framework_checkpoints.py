"""The framework's own checkpoints: which of them are whole, and of this job.

transformers writes a checkpoint under its final name from the start, so a kill leaves folders that
look usable. A mark is put into each when all of it is on disk; folders without one are removed.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bakeoff.worker.machine import write_json_atomic

_MARK = "bakeoff.json"


@dataclass(frozen=True)
class FrameworkCheckpoints:
    output_dir: Path
    job_digest: str
    """A checkpoint of another job is not used."""

    def newest(self) -> tuple[Path, int] | None:
        """The last whole checkpoint and the steps done in it; those that are not go."""
        found = []
        for path in self.output_dir.glob("checkpoint-*"):
            step = self._step(path)
            if step is None:
                shutil.rmtree(path, ignore_errors=True)
            else:
                found.append((step, path))
        if not found:
            return None
        step, path = max(found)
        return path, step

    def mark(self, step: int) -> None:
        """Call when the framework has written its checkpoint after ``step`` steps."""
        path = self.output_dir / f"checkpoint-{step}"
        for file in path.rglob("*"):
            if file.is_file():
                _force_to_disk(file)
        write_json_atomic(path / _MARK, {"step": step, "job_digest": self.job_digest})

    def _step(self, path: Path) -> int | None:
        mark = path / _MARK
        if not mark.is_file():
            return None
        state = json.loads(mark.read_text(encoding="utf-8"))
        return int(state["step"]) if state["job_digest"] == self.job_digest else None


def _force_to_disk(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
