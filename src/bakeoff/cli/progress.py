"""Progress on the terminal: what is going on, what is left, and an estimate."""

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from bakeoff.cli.estimate import Estimate, Estimator
from bakeoff.compare.numbers import num_bytes
from bakeoff.compare.numbers import seconds as show_duration
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.step_names import PHASES, describe
from bakeoff.schema.events import (
    AnswersEvent,
    Event,
    PhaseEvent,
    ProgressEvent,
    StepEvent,
    WarningEvent,
)
from bakeoff.schema.plan import Plan, Step
from bakeoff.schema.record import Record

_QUIET_SECONDS = 15.0


class View(Protocol):
    """Draws what the observer knows."""

    def line(self, text: Text) -> None: ...

    def update(self, state: "State") -> None: ...


@dataclass
class State:
    """Where the study is."""

    num_steps: int
    index: int = 0
    step: str = ""
    phase: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    seconds_left_in_step: float | None = None
    study_left: Estimate | None = None


class TerminalObserver:
    """Turns the runner's calls into a state and lines; the view draws them."""

    def __init__(self, view: View, plan: Plan, done: Collection[str]) -> None:
        self._view = view
        self._varying = plan.axes
        self._state = State(len(plan.steps))
        self._estimator = Estimator(plan, done)
        self._started = time.monotonic()
        self._rate = Rate()

    def step_started(self, step: Step, position: Position) -> None:
        self._started = time.monotonic()
        self._state = State(position.total, position.index, describe(step, self._varying))
        self._rate = Rate()
        self._view.update(self._state)

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        if self._state.phase != what:
            self._begin_phase(what)
        self._advance(step, done, total)

    def event(self, step: Step, event: Event) -> None:
        if isinstance(event, PhaseEvent):
            # Validation and checkpoints interrupt the training: its bar and its rate stay.
            if event.phase not in ("train", "validate", "save") or not self._state.total:
                self._begin_phase(event.phase)
            self._state.phase = PHASES[event.phase]
        elif isinstance(event, ProgressEvent):
            if self._state.phase != PHASES["validate"]:
                self._advance(step, event.done, event.total)
        elif isinstance(event, StepEvent):
            self._state.detail = f"loss {event.loss:.3f}" if event.loss is not None else ""
            self._advance(step, event.step, event.num_steps)
        elif isinstance(event, AnswersEvent):
            self._view.line(
                Text(
                    f"  after {event.step} steps: {event.num_right} of {event.num_questions} "
                    f"held-out questions right, {event.num_ended} answers ended by themselves"
                )
            )
        elif isinstance(event, WarningEvent):
            self._view.line(Text.assemble(("  warning: ", "yellow"), event.text))
        self._view.update(self._state)

    def step_finished(self, step: Step, record: Record | None, *, reused: bool) -> None:
        seconds = time.monotonic() - self._started
        self._estimator.finished(step, None if reused else seconds)
        self._view.line(_finished_line(self._state, record, seconds, reused=reused))
        if record is not None and record.status != "finished" and record.error:
            self._view.line(Text(_indent(record.error), "red"))

    def step_skipped(self, step: Step, reason: str) -> None:
        self._estimator.finished(step, None)
        self._view.line(Text.assemble(("- ", "yellow"), self._state.step, f": skipped, {reason}"))

    def note(self, text: str) -> None:
        self._view.line(Text.assemble(("note: ", "cyan"), text))

    def _begin_phase(self, phase: str) -> None:
        self._state = State(self._state.num_steps, self._state.index, self._state.step, phase)
        self._rate = Rate()

    def _advance(self, step: Step, done: int, total: int) -> None:
        self._state.done, self._state.total = done, total
        self._state.seconds_left_in_step = self._rate.seconds_left(done, total)
        self._state.study_left = self._estimator.left(
            step,
            elapsed=time.monotonic() - self._started,
            left_in_step=self._state.seconds_left_in_step,
        )
        self._view.update(self._state)


class Rate:
    """Progress per second since first seen; a resumed run does not start at nought."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def seconds_left(self, done: int, total: int) -> float | None:
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        since, before = self._first
        return (now - since) / (done - before) * (total - done) if done > before else None


class LiveView:
    """A bar that stays at the foot of the terminal; finished steps scroll above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._shown: State | None = None

    def line(self, text: Text) -> None:
        self._progress.console.print(text)

    def update(self, state: State) -> None:
        if self._task is None or state is not self._shown:
            # A bar cannot forget its total: each phase has a bar of its own.
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("", total=None, left="", detail="")
            self._shown = state
        doing = f"{state.step}: {state.phase}" if state.phase else state.step
        self._progress.update(
            self._task,
            description=f"[{state.index}/{state.num_steps}] {doing}",
            completed=state.done,
            total=state.total or None,
            detail=state.detail,
            left=_left(state),
        )


class PlainView:
    """For logs and pipes: a line at each start and end, and now and then one in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._announced = ""
        self._spoke = time.monotonic()

    def line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
        self._spoke = time.monotonic()

    def update(self, state: State) -> None:
        doing = f"[{state.index}/{state.num_steps}] {state.step}"
        quiet = time.monotonic() - self._spoke
        if doing != self._announced:
            self._announced = doing
            self.line(Text(f"{doing} ..."))
        elif quiet >= _QUIET_SECONDS and state.total:
            facts = [f"{state.phase} {state.done}/{state.total}", state.detail, _left(state)]
            self.line(Text("  " + ", ".join(fact for fact in facts if fact)))


@contextlib.contextmanager
def make_observer(console: Console, plan: Plan, done: Collection[str]) -> Iterator[Observer]:
    """The observer that suits the console."""
    if not console.is_terminal:
        yield TerminalObserver(PlainView(console), plan, done)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield TerminalObserver(LiveView(progress), plan, done)


def _finished_line(state: State, record: Record | None, seconds: float, *, reused: bool) -> Text:
    head = f"[{state.index}/{state.num_steps}] {state.step}"
    if record is not None and record.status != "finished":
        return Text.assemble(("✗ ", "red"), head, (f"  {record.status.replace('_', ' ')}", "red"))
    if record is not None and record.measurement is not None:
        seconds = record.measurement.wall_seconds  # the run may have been done on another machine
    facts = ["finished before, reused"] if reused else [show_duration(seconds)]
    if record is not None:
        facts += _facts(record)
    return Text.assemble(("✓ ", "green"), head, ("  " + ", ".join(facts), "dim"))


def _facts(record: Record) -> list[str]:
    facts = []
    losses = [point.loss for point in record.losses if point.split == "train"]
    if losses and losses[-1] is not None and losses[0] is not None:
        facts.append(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    facts += [f"{score.filter} {score.value:.1%}" for score in record.scores]
    if record.measurement is not None and record.measurement.peak_host_bytes is not None:
        facts.append(f"peak {num_bytes(record.measurement.peak_host_bytes)}")
    return facts


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _left(state: State) -> str:
    parts = []
    if state.seconds_left_in_step is not None:
        parts.append(f"{show_duration(state.seconds_left_in_step)} left")
    if state.study_left is not None:
        least = "at least " if state.study_left.is_lower_bound else ""
        parts.append(f"study: {least}{show_duration(state.study_left.seconds)}")
    return ", ".join(parts)
