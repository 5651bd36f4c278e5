"""Writer of ``events.jsonl``, in the shapes of ``bakeoff.schema.events``."""

import json
import time
from pathlib import Path
from typing import Any

from bakeoff.worker.memory_watch import WATCH, tree_bytes

_WORK = ("validate", "train", "evaluate")
"""Phases for which everything has been loaded."""


class Events:
    """Appends one flushed line an event, so that a watcher sees it at once and a kill loses none.

    One process may have several writers of the same file.
    """

    is_working: bool = False
    """Whether a phase of work has begun."""

    def __init__(self, path: Path) -> None:
        _drop_torn_line(path)
        self._path = path
        self._begun: set[str] = set()
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def phase(self, name: str) -> None:
        """A phase begins: one of the names in ``bakeoff.schema.events.Phase``."""
        # Reading the memory of a large process takes milliseconds: once a phase is enough.
        memory = {} if name in self._begun else {"host_bytes": tree_bytes()}
        self._begun.add(name)
        if name == "load_model":
            WATCH.begin_loading()
        if name in _WORK and not self.is_working:
            self.is_working = True
            WATCH.begin_work()
        if name == "save" and "evaluate" in self._begun:
            WATCH.end_work()
        self._write("phase", phase=name, **memory)

    def progress(self, done: int, total: int, unit: str) -> None:
        """``done`` of ``total`` units of the present phase are behind us."""
        self._write("progress", done=done, total=total, unit=unit)

    def step(self, *, step: int, num_steps: int, loss: float | None, **measured: Any) -> None:
        """An optimiser step is done, counted from 1.

        Args:
            step: this step.
            num_steps: how many there will be.
            loss: mean over the label tokens of the step.
            measured: ``learning_rate``, ``grad_norm`` (before clipping), ``seconds``,
                ``num_rows``, ``num_tokens``, ``num_label_tokens``; leave out what is not known.
        """
        self._write("step", step=step, num_steps=num_steps, loss=loss, **measured)

    def validation(self, *, step: int, loss: float, num_label_tokens: int | None = None) -> None:
        """The validation loss after ``step`` optimiser steps; 0 is the untouched model."""
        self._write("validation", step=step, loss=loss, num_label_tokens=num_label_tokens)

    def answers(self, *, step: int, num_questions: int, num_right: int, num_ended: int) -> None:
        """Questions that were asked after ``step`` steps; 0 is the untouched model."""
        counts = {"num_questions": num_questions, "num_right": num_right, "num_ended": num_ended}
        self._write("answers", step=step, **counts)

    def warning(self, text: str) -> None:
        """Something that a person should know about this run."""
        self._write("warning", text=text)

    def resume(self, step: int) -> None:
        """The run goes on after ``step``; later steps in the file replace earlier equal ones."""
        self._write("resume", step=step)

    def has_steps(self) -> bool:
        """Whether the file holds steps or validations, of this attempt or of one before it."""
        with self._path.open(encoding="utf-8") as file:
            return any(json.loads(line)["kind"] in ("step", "validation") for line in file)

    def end(self, status: str, error: str | None = None) -> None:
        """The last event: finished, failed, out_of_memory or cancelled."""
        self._write("end", status=status, error=error)

    def close(self) -> None:
        self._file.close()

    def _write(self, kind: str, **fields: Any) -> None:
        event = {"kind": kind, "at": time.time(), **fields}
        self._file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._file.flush()


def _drop_torn_line(path: Path) -> None:
    """Cut off what a killed writer left of its last line, or the next line would be glued to it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
