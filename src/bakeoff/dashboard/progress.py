"""How far a study is: counts from the index, the running runs from the ends of their files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bakeoff.base.locks import is_locked
from bakeoff.base.process import log_tail
from bakeoff.dashboard.jobs import Jobs, Running
from bakeoff.dashboard.site import Site
from bakeoff.runner.process_run import EVENTS, LOG, lock_of
from bakeoff.runner.step_names import PHASES
from bakeoff.schema.events import (
    Event,
    PhaseEvent,
    ProgressEvent,
    StepEvent,
    event_of_line,
)

_TAIL_BYTES = 64 * 1024
_LOG_LINES = 12
_MOST_RUNNING = 8


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """One run that a process works on now."""

    run_id: str
    phase: str
    done: int
    total: int
    loss: float | None
    seconds_left: float | None
    """Of this phase."""


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    running: Running
    was_stopped: bool
    num_runs: int
    num_finished: int
    num_failed: int
    now: tuple[RunProgress, ...]
    log: str

    @property
    def num_left(self) -> int:
        return self.num_runs - self.num_finished - self.num_failed


def study_progress(site: Site, study: str) -> StudyProgress:
    jobs = Jobs(site)
    store = site.store
    running = jobs.running(study)
    num_runs, num_finished, num_failed = store.lists.study_counts(study)
    now = tuple(_running_now(site, study)) if running else ()
    job = jobs.find(study)
    return StudyProgress(
        running=running,
        was_stopped=job is not None and job.stopped,
        num_runs=num_runs,
        num_finished=num_finished,
        num_failed=num_failed,
        now=now,
        log=_log(jobs, study, site.runs_dir, now),
    )


def _running_now(site: Site, study: str) -> Iterator[RunProgress]:
    found = 0
    for run_id in site.store.lists.unfinished(study):
        run_dir = site.runs_dir / run_id
        if run_dir.is_dir() and is_locked(lock_of(run_dir)):
            yield run_progress(run_dir)
            found += 1
            if found == _MOST_RUNNING:
                return


def run_progress(run_dir: Path) -> RunProgress:
    """By the last events; a phase's bar starts where it began."""
    events = list(last_events(run_dir / EVENTS))
    phase, done, total, loss = "", 0, 0, None
    marks: list[tuple[float, int]] = []
    for event in events:
        if isinstance(event, PhaseEvent):
            # Validation and checkpoints interrupt the training: its bar stays.
            if event.phase not in ("train", "validate", "save") or not total:
                done, total, marks = 0, 0, []
            phase = event.phase
        elif isinstance(event, ProgressEvent) and phase != "validate":
            done, total = event.done, event.total
            marks.append((event.at, done))
        elif isinstance(event, StepEvent):
            done, total, loss = event.step, event.num_steps, event.loss
            marks.append((event.at, done))
    return RunProgress(
        run_id=run_dir.name,
        phase=PHASES.get(phase, "starting"),
        done=done,
        total=total,
        loss=loss,
        seconds_left=_seconds_left(marks, total),
    )


def _seconds_left(marks: Sequence[tuple[float, int]], total: int) -> float | None:
    if len(marks) < 2:
        return None
    (first, before), (last, done) = marks[max(0, len(marks) - 50)], marks[-1]
    return (last - first) / (done - before) * (total - done) if done > before else None


def last_events(path: Path) -> Iterator[Event]:
    """Those in the last 64 KiB of a file that may be written to at this moment."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().split(b"\n")
    for line in lines[0 if size <= _TAIL_BYTES else 1 : -1]:
        try:
            yield event_of_line(line)
        except ValidationError:  # of a newer bakeoff, say: nothing that a bar needs
            continue


def _log(jobs: Jobs, study: str, runs_dir: Path, now: Sequence[RunProgress]) -> str:
    """Of the running run while there is one, else of the study's own process."""
    for run in now:
        if text := log_tail(runs_dir / run.run_id / LOG, num_lines=_LOG_LINES):
            return text
    return log_tail(jobs.log_path(study), num_lines=_LOG_LINES)
