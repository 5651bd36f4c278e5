"""What a training told step by step, over steps, tokens and time; also while it runs."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from bakeoff.compare.losses import smoothed
from bakeoff.measure.steps import last_by_step, steps_done
from bakeoff.schema.document import Document
from bakeoff.schema.events import StepEvent, ValidationEvent, read_events_file
from bakeoff.schema.record import Record

Axis = Literal["step", "tokens", "seconds"]
Field = Literal["loss", "learning_rate", "grad_norm"]
AXES_OF_CURVES: dict[str, Axis] = {name: name for name in get_args(Axis)}
FIELDS_OF_CURVES: dict[str, Field] = {name: name for name in get_args(Field)}
EVENTS = "events.jsonl"
_MOST_STRETCHES = 150
"""Of a curve; each keeps its lowest and its highest point."""

_FEWEST_STRETCHES = 40
_ALL_STRETCHES = 1000
"""Of many curves together: their picture shows the bundle."""


class Point(NamedTuple):
    """One optimiser step; None where it was not told."""

    step: int
    tokens: int | None
    """Trained on so far."""

    seconds: float | None
    """Of optimiser steps so far."""

    loss: float | None
    learning_rate: float | None
    grad_norm: float | None


class Curve(NamedTuple):
    """One training."""

    run_id: str
    name: str
    points: tuple[Point, ...]
    validation: tuple[tuple[int, float], ...]
    """Step, loss."""


class CurveRow(Document):
    """A point of a chart."""

    name: str
    split: Literal["train", "validation"]
    x: float
    y: float
    smoothed: float | None
    """Running mean; None for validation."""


def curve_of(run_dir: Path, name: str, record: Record | None) -> Curve:
    """From the run's events; from its record where those were deleted."""
    events = list(read_events_file(run_dir / EVENTS))
    points = tuple(_points(steps_done(events)))
    if points or record is None:
        validation = ((told.step, told.loss) for told in last_by_step(events, ValidationEvent))
        return Curve(run_dir.name, name, points, tuple(validation))
    of_record = tuple(
        Point(p.step, None, None, p.loss, p.learning_rate, p.grad_norm)
        for p in record.losses
        if p.split == "train"
    )
    held_out = ((p.step, p.loss) for p in record.losses if p.split == "validation")
    return Curve(
        run_dir.name, name, of_record, tuple((s, loss) for s, loss in held_out if loss is not None)
    )


def curve_rows(curves: Sequence[Curve], *, field: Field, axis: Axis) -> list[CurveRow]:
    """Rows of the trainings that told both; no peak is lost where a curve is thinned."""
    rows: list[CurveRow] = []
    each = _ALL_STRETCHES // max(1, len(curves))
    stretches = min(_MOST_STRETCHES, max(_FEWEST_STRETCHES, each))
    for curve in curves:
        rows += _train_rows(curve, field, axis, stretches)
        if field == "loss":
            rows += _validation_rows(curve, axis)
    return rows


def _train_rows(curve: Curve, field: Field, axis: Axis, stretches: int) -> Iterator[CurveRow]:
    known: list[tuple[float, float]] = [
        (x, y)
        for point in curve.points
        if (x := getattr(point, axis)) is not None and (y := getattr(point, field)) is not None
    ]
    smooth = smoothed([y for _, y in known])
    for i in sorted(extremes([y for _, y in known], stretches=stretches)):
        x, y = known[i]
        yield CurveRow(name=curve.name, split="train", x=x, y=y, smoothed=smooth[i])


def _validation_rows(curve: Curve, axis: Axis) -> Iterator[CurveRow]:
    places = {point.step: getattr(point, axis) for point in curve.points}
    if all(place is None for place in places.values()):
        return  # the training did not tell
    places[0] = 0
    for step, loss in curve.validation:
        if (x := places.get(step)) is not None:
            yield CurveRow(name=curve.name, split="validation", x=x, y=loss, smoothed=None)


def extremes(values: Sequence[float], *, stretches: int) -> set[int]:
    """Positions of the lowest and highest value of each stretch, of the first and the last one."""
    if len(values) <= 2 * stretches:
        return set(range(len(values)))
    kept = {0, len(values) - 1}
    for i in range(stretches):
        begin = i * len(values) // stretches
        part = range(begin, (i + 1) * len(values) // stretches)
        kept |= {min(part, key=values.__getitem__), max(part, key=values.__getitem__)}
    return kept


def _points(steps: Sequence[StepEvent]) -> Iterator[Point]:
    tokens = _running(steps, lambda step: step.num_tokens)
    seconds = _running(steps, lambda step: step.seconds)
    for step, so_far, elapsed in zip(steps, tokens, seconds, strict=True):
        yield Point(
            step.step,
            None if so_far is None else int(so_far),
            elapsed,
            step.loss if step.loss is not None and math.isfinite(step.loss) else None,
            step.learning_rate,
            step.grad_norm,
        )


def _running(
    steps: Sequence[StepEvent], read: Callable[[StepEvent], float | None]
) -> list[float | None]:
    """The sum so far; None from the first step on that did not tell."""
    total: float | None = 0.0
    sums = []
    for step in steps:
        value = read(step)
        total = None if total is None or value is None else total + value
        sums.append(total)
    return sums
