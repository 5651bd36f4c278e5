"""Optimiser steps: which count, which warm up, how fast the others are.

The first steps after a start compile kernels, choose algorithms and grow the allocator's pools, so
that they tell nothing of the steps to come. Warm-up is a tenth of the planned steps, at least one
and at most ten, after each start: 3 of 25, 10 of 5,000. A rate is what all other steps did over
what they took together; a median step would forget the long rows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bakeoff.schema.events import AnswersEvent, Event, ResumeEvent, StepEvent, ValidationEvent

_WARM_UP_SHARE = 0.1
_MOST_WARM_UP = 10


_OfAStep = TypeVar("_OfAStep", StepEvent, ValidationEvent, AnswersEvent)


def last_by_step(events: Iterable[Event], kind: type[_OfAStep]) -> list[_OfAStep]:
    """One of that kind for each step, in order; what a resumed run did again replaces the first."""
    found: dict[int, _OfAStep] = {}
    for event in events:
        if isinstance(event, ResumeEvent):
            found = {step: done for step, done in found.items() if step <= event.step}
        elif isinstance(event, kind):
            found[event.step] = event
    return [found[step] for step in sorted(found)]


def steps_done(events: Iterable[Event]) -> list[StepEvent]:
    """Each step once, in order."""
    return last_by_step(events, StepEvent)


@dataclass(frozen=True)
class StepTimes:
    """Steps that count, and those of them that warm up."""

    all: tuple[StepEvent, ...]
    num_warm_up: int
    """After each start."""

    starts: frozenset[int]
    """Numbers of the first steps after a start."""

    @property
    def are_timed(self) -> bool:
        return any(step.seconds is not None for step in self.all)

    @property
    def first(self) -> tuple[StepEvent, ...]:
        return tuple(step for step in self.all[:1] if step.seconds is not None)

    @property
    def other_warm_up(self) -> tuple[StepEvent, ...]:
        return tuple(step for step in self.all[1:] if self._warms_up(step))

    @property
    def steady(self) -> tuple[StepEvent, ...]:
        """Those whose duration is known."""
        return tuple(
            step for step in self.all if step.seconds is not None and not self._warms_up(step)
        )

    def _warms_up(self, step: StepEvent) -> bool:
        return any(start <= step.step < start + self.num_warm_up for start in self.starts)


def step_times(events: Sequence[Event]) -> StepTimes:
    done = steps_done(events)
    resumed = {event.step + 1 for event in events if isinstance(event, ResumeEvent)}
    planned = max((step.num_steps for step in done), default=0)
    return StepTimes(
        all=tuple(done),
        num_warm_up=min(max(math.ceil(_WARM_UP_SHARE * planned), 1), _MOST_WARM_UP),
        starts=frozenset({*(step.step for step in done[:1]), *resumed}),
    )


def rate(steps: Sequence[StepEvent], counts: Iterable[int | None]) -> float | None:
    """Counts of the steps, one each, over their seconds; None where any is not known."""
    known = [count for count in counts if count is not None]
    seconds = sum(step.seconds or 0.0 for step in steps)
    return sum(known) / seconds if known and len(known) == len(steps) and seconds > 0 else None


def total(counts: Iterable[int | None]) -> int | None:
    """Of those that are known; None for none."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
