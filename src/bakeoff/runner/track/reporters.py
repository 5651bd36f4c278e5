"""The reporters of a study: a process a tracker, beside the runs and never in their way."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from bakeoff.base.process import Child, log_tail
from bakeoff.runner.observer import Observer
from bakeoff.runner.track.reporter import files_of, tracker_folder
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.events import Event
from bakeoff.schema.plan import Step
from bakeoff.store.runs import Store

LAST_SECONDS = 180.0
"""What a reporter may take for the rest once the study has ended."""

_INTERRUPTED_SECONDS = 15.0
_TELL_SECONDS = 3.0
_LOOK_SECONDS = 2.0


class Reporters:
    """Run as long as the block lasts. A tracker that fails is told of once, and nothing else."""

    def __init__(
        self,
        study: str,
        workspace: Workspace,
        observer: Observer,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            study: Whose ``study.json`` is there when the block begins.
            workspace: That names the trackers.
            observer: Told by the runner; what is wrong with a tracker is noted there.
            say: Where it is noted instead.
        """
        self._study = study
        self._workspace = workspace
        self._store = Store(workspace.runs_dir)
        self._say = say or observer.note
        self._children: dict[str, Child] = {}
        self._told: set[str] = set()
        self._next_look = 0.0
        self.observer: Observer = _Looking(observer, self.look) if workspace.report_to else observer
        """Hands everything on, and looks after the reporters meanwhile."""

    def __enter__(self) -> "Reporters":
        for name in self._workspace.report_to:
            try:
                self._children[name] = self._start(name)
            except OSError as error:
                self._tell(name, f"cannot be started: {error}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children.values():
            child.close_input()
        interrupted = kind is not None and not issubclass(kind, Exception)
        limit = _INTERRUPTED_SECONDS if interrupted else LAST_SECONDS
        try:
            self._wait(time.monotonic() + limit, limit)
        finally:
            for child in self._children.values():
                child.stop()

    def look(self) -> None:
        """Tell of reporters that have a problem now; costs nothing when called all the time."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        for name, child in self._children.items():
            problem = read_problem(self._store, self._study, name)
            if problem is not None:
                self._tell(name, f"cannot be told of the runs at present: {problem}")
            elif child.wait(0) not in (None, 0):
                self._tell(name, f"ended: {log_tail(self._log(name), num_lines=3)}")

    def _start(self, name: str) -> Child:
        folder = tracker_folder(self._store.runs_dir, name)
        folder.mkdir(parents=True, exist_ok=True)
        files_of(self._store, self._study, name).with_suffix(".problem.txt").unlink(missing_ok=True)
        self._log(name).unlink(missing_ok=True)
        return Child(
            [
                *(str(self._workspace.python), "-m", "bakeoff", "track", self._study),
                *("--to", name, "--follow", "--runs-dir", str(self._store.runs_dir)),
            ],
            env=self._workspace.environment,
            cwd=folder,
            log_path=self._log(name),
        )

    def _log(self, name: str) -> Path:
        return files_of(self._store, self._study, name).with_suffix(".log")

    def _wait(self, deadline: float, limit: float) -> None:
        noted = time.monotonic() + _TELL_SECONDS
        for name, child in self._children.items():
            code = child.wait(max(0.0, min(noted, deadline) - time.monotonic()))
            if code is None:
                self._say(f"waiting for {name} to take the last values, {limit:.0f} s at most")
                noted = deadline
                code = child.wait(max(0.0, deadline - time.monotonic()))
            if code is None:
                self._tell(name, f"did not take everything within {limit:.0f} s")
            elif code != 0:
                problem = read_problem(self._store, self._study, name)
                self._tell(name, problem or log_tail(self._log(name), num_lines=3))

    def _tell(self, name: str, text: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._say(
                f"{name}: {text}\nThe runs go on without it; `{resend_command(self._study, name)}` "
                f"sends what is missing. Its log: {self._log(name)}"
            )


def read_problem(store: Store, study: str, name: str) -> str | None:
    """Why a tracker cannot be told; None where it can."""
    with contextlib.suppress(FileNotFoundError):
        path = files_of(store, study, name).with_suffix(".problem.txt")
        return path.read_text(encoding="utf-8").strip()
    return None


def resend_command(study: str, name: str) -> str:
    return f"bakeoff track {study} --to {name}"


class _Looking:
    """An observer that takes the occasion of every call."""

    def __init__(self, observer: Observer, look: Callable[[], None]) -> None:
        self._observer = observer
        self._look = look

    def event(self, step: Step, event: Event) -> None:
        self._look()
        self._observer.event(step, event)

    def __getattr__(self, name: str) -> Any:
        self._look()
        return getattr(self._observer, name)
