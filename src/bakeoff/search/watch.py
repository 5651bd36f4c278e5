"""Follows the events of one trial's training, and says when to end it."""

import math
from collections.abc import Callable
from statistics import fmean

from bakeoff.runner.observer import Observer, Position
from bakeoff.schema.events import Event, ResumeEvent, StepEvent, ValidationEvent
from bakeoff.schema.plan import EvalPlan, Step, TrainPlan
from bakeoff.schema.record import Record
from bakeoff.search.proposals import FIRST_RUNG

_EVERY_PERCENT = 10
"""Between two looks at the training loss."""

ShouldPrune = Callable[[int, float], bool]
"""Told the percent of the steps that are done and the loss there."""


class TrialWatch:
    """An observer of a trial: passes everything on, and reports losses to the pruner.

    Trials are compared at equal parts of their trainings (percent of the steps), whatever their
    batch size. Where the recipe validates while it trains, the validation loss counts; else the
    mean training loss of the last quarter, which in a single pass is a loss on rows not seen
    before.
    """

    def __init__(self, inner: Observer, should_prune: ShouldPrune | None) -> None:
        """``should_prune`` is asked at each look; None: this trial is never ended."""
        self._inner = inner
        self._should_prune = should_prune
        self._validates = False
        self._losses: list[float] = []
        self._last_step = 0
        self._next_percent = FIRST_RUNG
        self.num_steps: int | None = None
        """Planned, once a step has told."""

        self.curve: list[tuple[int, float]] = []
        self._reason: str | None = None

    def why_end(self, step: TrainPlan | EvalPlan) -> str | None:
        """For the runner: only trainings are ended, and only while they have steps to do."""
        is_done = self.num_steps is not None and self._last_step >= self.num_steps
        return self._reason if isinstance(step, TrainPlan) and not is_done else None

    @property
    def is_pruned(self) -> bool:
        return self._reason is not None

    def event(self, step: Step, event: Event) -> None:
        self._inner.event(step, event)
        if not isinstance(step, TrainPlan):
            return
        if isinstance(event, ResumeEvent):
            self._losses = self._losses[: event.step]
        elif isinstance(event, StepEvent):
            self._on_step(event)
        elif isinstance(event, ValidationEvent) and self._validates and event.step > 0:
            self._look(event.step, event.loss)

    def _on_step(self, event: StepEvent) -> None:
        self.num_steps, self._last_step = event.num_steps, event.step
        self._losses.append(math.inf if event.loss is None else event.loss)
        percent = _percent(event.step, event.num_steps)
        if not self._validates and percent >= self._next_percent:
            self._next_percent = percent + _EVERY_PERCENT
            recent = max(1, len(self._losses) // 4)
            self._look(event.step, fmean(self._losses[-recent:]))

    def _look(self, step: int, loss: float) -> None:
        percent = _percent(step, self.num_steps or step)
        if self.curve and percent <= self.curve[-1][0]:
            return  # gone through before an interruption
        loss = loss if math.isfinite(loss) else math.inf
        self.curve.append((percent, loss))
        if self._should_prune is None or percent >= 100 or self._reason is not None:
            return
        if self._should_prune(percent, loss):
            self._reason = (
                f"pruned at {percent} % of its steps: a loss of {loss:.4g} falls behind the others"
            )

    def step_started(self, step: Step, position: Position) -> None:
        if isinstance(step, TrainPlan):
            self._validates = step.train.validate_every > 0
        self._inner.step_started(step, position)

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        self._inner.progress(step, done, total, what)

    def step_finished(self, step: Step, record: Record | None, *, reused: bool) -> None:
        self._inner.step_finished(step, record, reused=reused)

    def step_skipped(self, step: Step, reason: str) -> None:
        self._inner.step_skipped(step, reason)

    def note(self, text: str) -> None:
        self._inner.note(text)


def _percent(step: int, num_steps: int) -> int:
    return 100 * step // max(1, num_steps)
