"""Tells one tracker of one study, as it goes on: the process behind ``bakeoff track``.

- ``RUNS/studies/NAME/trackers/TRACKER.json``: how far it came (``sent.py``)
- ``RUNS/studies/NAME/trackers/TRACKER.log``: what its client said
- ``RUNS/studies/NAME/trackers/TRACKER.problem.txt``: why it cannot be told; gone when it can
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bakeoff.base.credentials import without_secrets
from bakeoff.base.files import write_text_atomic
from bakeoff.base.locks import locked
from bakeoff.interfaces import Tracker
from bakeoff.runner.track.about import tracked_run
from bakeoff.runner.track.followed import Followed
from bakeoff.runner.track.sent import SentRun, load_sent, save_sent
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store
from bakeoff.trackers import TRACKERS

LOOK_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0
_LONGEST_PROBLEM = 300

Wait = Callable[[float], bool]
"""Waits so many seconds; whether the study has ended by then."""


def tracker_folder(runs_dir: Path, name: str) -> Path:
    """Where a tracker keeps what it writes, unless the person's environment says otherwise."""
    return runs_dir.resolve() / "trackers" / name


def files_of(store: Store, study: str, name: str) -> Path:
    """The path of the reporter's files, to be given their endings."""
    return store.study_dir(study) / "trackers" / name


class Reporter:
    """One tracker and one study.

    Reads what the runs leave on disk, so that it may lag behind, fail and try again, and start long
    after the runs without losing anything.
    """

    def __init__(
        self, store: Store, study: str, name: str, tracker: Tracker, say: Callable[[str], None]
    ) -> None:
        self._store = store
        self._study = study
        self._tracker = tracker
        self._say = say
        self._files = files_of(store, study, name)
        self._problem_file = self._files.with_suffix(".problem.txt")
        self._followed: dict[str, Followed] = {}
        self._not_before = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._plan: tuple[int, Study] | None = None
        self.num_sent = 0
        """Runs that were sent to their end."""

    def run(self, wait: Wait) -> bool:
        """Send until ``wait`` says that the study has ended, and then the rest; whether all went.

        Raises:
            UserError: There is no such study.
        """
        with locked(
            self._files.with_suffix(".lock"),
            lambda: self._say("another bakeoff is telling the same tracker; waiting for it to end"),
        ):
            self._sent = load_sent(self._files.with_suffix(".json"), self._tracker.address())
            while not wait(LOOK_SECONDS):
                if time.monotonic() >= self._not_before:
                    self._send(is_over=False)
            return self._send(is_over=True)

    def _send(self, *, is_over: bool) -> bool:
        try:
            self._send_news(is_over=is_over)
        except Exception as error:  # noqa: BLE001 - whatever a client raises, the runs go on
            self._has_failed(error)
            return False
        self._problem_file.unlink(missing_ok=True)
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        return True

    def _send_news(self, *, is_over: bool) -> None:
        study = self._read_study()
        steps = {run_name(step): step for step in study.runs}
        # Where only one run can be open, the open one goes first and the others wait for its end.
        for run_id in sorted(steps, key=lambda name: not self._of(name).is_open):
            followed = self._of(run_id)
            others = any(f.is_open for f in self._followed.values() if f is not followed)
            if followed.has_news() and (self._tracker.is_parallel or not others):
                self._send_run(followed, steps[run_id], study, is_over=is_over)

    def _send_run(
        self, followed: Followed, step: TrainPlan | EvalPlan, study: Study, *, is_over: bool
    ) -> None:
        before = followed.sent
        try:
            run = tracked_run(step, study.plan, followed.began_at())
            followed.send(self._tracker, run, is_over=is_over)
        finally:
            if followed.sent != before:
                runs = {**self._sent.runs, run_name(step): followed.sent}
                self._sent = self._sent.model_copy(update={"runs": runs})
                save_sent(self._files.with_suffix(".json"), self._sent)
        self.num_sent += not followed.is_open

    def _of(self, run_id: str) -> Followed:
        if run_id not in self._followed:
            sent = self._sent.runs.get(run_id, SentRun())
            self._followed[run_id] = Followed(self._store.run_dir(run_id), sent)
        return self._followed[run_id]

    def _has_failed(self, error: Exception) -> None:
        text = shown(error)
        self._say(text)
        write_text_atomic(self._problem_file, text + "\n")
        for followed in self._followed.values():
            followed.forget_open()
        self._not_before = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _read_study(self) -> Study:
        """Again whenever it has changed: a search adds to its study."""
        path = self._store.study_dir(self._study) / "study.json"
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        if self._plan is None or self._plan[0] != stamp:
            self._plan = stamp, self._store.study(self._study)
        return self._plan[1]


def shown(error: Exception) -> str:
    """The beginning of what a client complains of; an address in it may hold a password."""
    first = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    return without_secrets(f"{type(error).__name__}: {first.strip()}"[:_LONGEST_PROBLEM])


def make_tracker(name: str, runs_dir: Path, environment: Mapping[str, str]) -> Tracker:
    """The tracker of that name.

    Raises:
        UserError: There is none.
    """
    return TRACKERS.get(name)(tracker_folder(runs_dir, name), environment)
