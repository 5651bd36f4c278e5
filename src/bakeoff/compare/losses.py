"""Loss curves as plain data."""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from bakeoff.compare.names import name_runs
from bakeoff.compare.repeats import without_repeats
from bakeoff.schema.document import Document
from bakeoff.schema.record import Record

_MOST_POINTS = 300
"""More than a chart has pixels for; longer curves are averaged over equal stretches."""


class LossRow(Document):
    """A point of a curve."""

    run_id: str
    name: str
    split: Literal["train", "validation"]
    step: float
    loss: float
    smoothed: float | None
    """Running mean of the training loss; None for validation, which is shown as it is."""


def loss_rows(records: Sequence[Record]) -> list[LossRow]:
    """The curves of every training, also of one that did not finish."""
    names = name_runs(records)
    rows = []
    for record in without_repeats(records):
        if record.kind == "train":
            rows += _curve(record, names[record.run_id])
    return rows


def _curve(record: Record, name: str) -> list[LossRow]:
    by_split: dict[str, list[tuple[float, float]]] = {"train": [], "validation": []}
    for point in record.losses:
        if point.loss is not None:
            by_split[point.split].append((point.step, point.loss))
    train = _thinned(by_split["train"])
    smooth = smoothed([loss for _, loss in train])
    rows = [
        LossRow(
            run_id=record.run_id, name=name, split="train", step=step, loss=loss, smoothed=running
        )
        for (step, loss), running in zip(train, smooth, strict=True)
    ]
    return rows + [
        LossRow(
            run_id=record.run_id,
            name=name,
            split="validation",
            step=step,
            loss=loss,
            smoothed=None,
        )
        for step, loss in by_split["validation"]
    ]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stretch = -(-len(points) // _MOST_POINTS)
    if stretch < 2:
        return list(points)
    parts = [points[start : start + stretch] for start in range(0, len(points), stretch)]
    return [
        (sum(step for step, _ in part) / len(part), sum(loss for _, loss in part) / len(part))
        for part in parts
    ]


def smoothed(losses: Sequence[float]) -> list[float]:
    """Mean over a centred window, narrower near the ends so that it neither lags nor leans."""
    half = len(losses) // 30
    values = []
    for i in range(len(losses)):
        reach = min(half, i, len(losses) - 1 - i)
        values.append(fmean(losses[i - reach : i + reach + 1]))
    return values
