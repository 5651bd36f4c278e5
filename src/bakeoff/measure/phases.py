"""Where the time of a run went, and how much memory it held meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.measure.steps import StepTimes
from bakeoff.schema.events import Event, PhaseEvent
from bakeoff.schema.record import PhaseCost

WORK_PHASES = ("validate", "train", "evaluate")
SETUP_PHASES = ("start", "import", "prepare", "load_model", "load_data", "convert")
CALIBRATE = "calibrate"

Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of the process; a killed attempt ends with its last sign of life."""

    started_at: float
    ended_at: float

    def holds(self, at: float) -> bool:
        return self.started_at <= at <= self.ended_at


@dataclass(frozen=True)
class Span:
    """A stretch of time in which one phase lasted."""

    phase: str
    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        return max(self.ends - self.begins, 0.0)


def spans_of(events: Sequence[Event], attempts: Sequence[Attempt]) -> list[Span]:
    """In order; `start` is the time before the worker's first mark."""
    return [span for attempt in attempts for span in _spans_of_attempt(events, attempt)]


def _spans_of_attempt(events: Sequence[Event], attempt: Attempt) -> Iterator[Span]:
    phase, since = "start", attempt.started_at
    for event in events:
        if isinstance(event, PhaseEvent) and attempt.holds(event.at):
            yield Span(phase, since, event.at)
            phase, since = event.phase, event.at
    yield Span(phase, since, attempt.ended_at)


def total_seconds(spans: Sequence[Span], *phases: str) -> float | None:
    """None where none of the phases ever began."""
    found = [span.seconds for span in spans if span.phase in phases]
    return sum(found) if found else None


def last_that_worked(events: Sequence[Event], attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """A later attempt may only have found the result of an earlier one."""
    begins = [e.at for e in events if isinstance(e, PhaseEvent) and e.phase in WORK_PHASES]
    worked = [attempt for attempt in attempts if any(map(attempt.holds, begins))]
    return (worked or attempts)[-1:]


def phase_costs(spans: Sequence[Span], steps: StepTimes, samples: Samples) -> list[PhaseCost]:
    """Each phase once; training is told by its steps, whose seconds hold nothing else."""
    costs: dict[str, PhaseCost] = {}
    for phase in dict.fromkeys(span.phase for span in spans if span.phase != CALIBRATE):
        if phase == "train" and steps.are_timed:
            costs.update(_step_costs(steps, samples))
            continue
        own = [span for span in spans if span.phase == phase]
        costs[phase] = _cost(own, samples)
    return list(costs.values())


def _step_costs(steps: StepTimes, samples: Samples) -> Iterator[tuple[str, PhaseCost]]:
    for name, several in (
        ("first_step", steps.first),
        ("warm_up_steps", steps.other_warm_up),
        ("steady_steps", steps.steady),
    ):
        if several:
            own = [Span(name, step.at - (step.seconds or 0.0), step.at) for step in several]
            yield name, _cost(own, samples)


def _cost(spans: Sequence[Span], samples: Samples) -> PhaseCost:
    """Of the spans of one phase."""
    within = list(_within(spans, samples))
    return PhaseCost(
        phase=spans[0].phase,
        seconds=round(sum(span.seconds for span in spans), 4),
        peak_host_bytes=max((s["host_bytes"] for s in within), default=None),
        peak_device_process_bytes=max(filter(None, map(process_bytes, within)), default=None),
    )


def _within(spans: Sequence[Span], samples: Samples) -> Iterator[Mapping[str, Any]]:
    """Both are in order, so that one walk over the samples is enough."""
    left = iter(spans)
    span = next(left, None)
    for sample in samples:
        while span is not None and sample["at"] > span.ends:
            span = next(left, None)
        if span is not None and sample["at"] >= span.begins:
            yield sample


def process_bytes(sample: Mapping[str, Any]) -> int | None:
    """GPU memory of the run's processes in one sample, over all GPUs."""
    found = [gpu["process_bytes"] for gpu in sample.get("gpus", ()) if "process_bytes" in gpu]
    return sum(found) if found else None


def host_bytes_at(events: Sequence[Event], samples: Samples, *phases: str) -> int | None:
    """Host memory where the first of the phases began.

    As the worker read it at that moment, else by the last sample before.
    """
    for event in events:
        if isinstance(event, PhaseEvent) and event.phase in phases:
            before = [int(s["host_bytes"]) for s in samples if s["at"] <= event.at]
            return event.host_bytes or (before[-1] if before else None)
    return None
