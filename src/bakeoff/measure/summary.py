"""Timeline + events -> Measurement."""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bakeoff.schema.events import Event, PhaseEvent, ResumeEvent, StepEvent
from bakeoff.schema.record import Measurement

WORK_PHASES = ("validate", "train", "evaluate")
SETUP_PHASES = ("import", "load_model", "load_data", "convert")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of the process; a killed attempt ends with its last sign of life."""

    started_at: float
    ended_at: float


@dataclass
class _Phases:
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + max(seconds, 0.0)

    def total(self, *names: str) -> float | None:
        known = [self.seconds[name] for name in names if name in self.seconds]
        return sum(known) if known else None


def summarise(
    events: Sequence[Event],
    timeline: Sequence[dict[str, Any]],
    attempts: Sequence[Attempt],
    *,
    num_generated_tokens: int | None = None,
) -> Measurement:
    """Measure one run.

    Time is by the worker's own marks and memory by the samples from outside. Steps that were done
    twice, because a kill threw away what came after the last checkpoint, count once, in their last
    doing; the wall time counts every attempt.

    Args:
        events: Of all attempts, in order.
        timeline: Samples of all attempts, in order.
        attempts: At least one, in order.
        num_generated_tokens: Of an evaluation.
    """
    steps = steps_done(events)
    # An evaluation that was killed begins anew: what its last attempt took is what it takes.
    phases = _phase_seconds(events, attempts if steps else _last_that_worked(events, attempts))
    step_seconds = [step.seconds for step in steps if step.seconds is not None]
    train_seconds = sum(step_seconds) if step_seconds else phases.total("train")
    num_tokens = _sum_or_none(step.num_tokens for step in steps) or num_generated_tokens
    evaluate_seconds = phases.total("evaluate")
    work_seconds = train_seconds or evaluate_seconds
    host = [int(sample["host_bytes"]) for sample in timeline]
    return Measurement(
        wall_seconds=sum(attempt.ended_at - attempt.started_at for attempt in attempts),
        setup_seconds=phases.total("start", *SETUP_PHASES),
        train_seconds=train_seconds,
        save_seconds=phases.total("save"),
        validate_seconds=phases.total("validate"),
        evaluate_seconds=evaluate_seconds,
        step_seconds_median=statistics.median(step_seconds) if step_seconds else None,
        num_steps=len(steps) or None,
        num_tokens=num_tokens,
        tokens_per_second=num_tokens / work_seconds if num_tokens and work_seconds else None,
        peak_host_bytes=max(host, default=None),
        host_memory_counter=timeline[-1]["counter"] if timeline else None,
        start_host_bytes=_start_bytes(events, timeline),
        sampling_interval_seconds=_median_interval(timeline),
        num_attempts=len(attempts),
    )


def steps_done(events: Iterable[Event]) -> list[StepEvent]:
    """Each step once, in order; what a resumed run did again replaces what it did before."""
    steps: dict[int, StepEvent] = {}
    for event in events:
        if isinstance(event, ResumeEvent):
            steps = {step: done for step, done in steps.items() if step <= event.step}
        elif isinstance(event, StepEvent):
            steps[event.step] = event
    return [steps[step] for step in sorted(steps)]


def _phase_seconds(events: Sequence[Event], attempts: Sequence[Attempt]) -> _Phases:
    phases = _Phases()
    for attempt in attempts:
        name, since = "start", attempt.started_at
        for event in events:
            if not attempt.started_at <= event.at <= attempt.ended_at:
                continue
            if isinstance(event, PhaseEvent):
                phases.add(name, event.at - since)
                name, since = event.phase, event.at
        phases.add(name, attempt.ended_at - since)
    return phases


def _last_that_worked(events: Sequence[Event], attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """A later attempt may only have found the result of an earlier one."""
    begins = [e.at for e in events if isinstance(e, PhaseEvent) and e.phase in WORK_PHASES]
    worked = [a for a in attempts if any(a.started_at <= at <= a.ended_at for at in begins)]
    return (worked or attempts)[-1:]


def _start_bytes(events: Sequence[Event], timeline: Sequence[dict[str, Any]]) -> int | None:
    """Memory at the last sample before the work began."""
    begins = next(
        (e.at for e in events if isinstance(e, PhaseEvent) and e.phase in WORK_PHASES), None
    )
    if begins is None:
        return None
    before = [int(sample["host_bytes"]) for sample in timeline if sample["at"] <= begins]
    return before[-1] if before else None


def _median_interval(timeline: Sequence[dict[str, Any]]) -> float | None:
    gaps = [after["at"] - before["at"] for before, after in itertools.pairwise(timeline)]
    return round(statistics.median(gaps), 3) if gaps else None


def _sum_or_none(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
