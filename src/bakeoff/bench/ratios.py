"""Ratios from pairs of runs: repeat i of one against repeat i of the other.

The two runs of a pair follow each other on the machine, so that what changes slowly (heat, another
job) meets both.
"""

from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Literal

from bakeoff.schema.bench import BenchCell, BenchRatio, Spread
from bakeoff.schema.recipe_train import Method

ENOUGH_FOR_BOOTSTRAP = 6
"""Fewer pairs are told by their smallest and largest: drawn again they would say no more."""

_DRAWS = 10_000
_Interval = Literal["min-max", "bootstrap 95 %"]
Figures = Sequence[float | None]


def ratios(
    cells: Sequence[BenchCell], differ: Callable[[BenchCell, BenchCell], str | None]
) -> tuple[BenchRatio, ...]:
    """Every cell against the first backend's in the same setting and method.

    Args:
        cells: In the order of the backends.
        differ: Says why two cells did not do the same work; None where they did.
    """
    first = cells[0].name if cells else ""
    own = {(cell.setting, cell.method): cell for cell in cells if cell.name == first}
    return tuple(
        _ratio(own[key], other, differ(own[key], other))
        for other in cells
        if other.name != first and (key := (other.setting, other.method)) in own
    )


def _ratio(own: BenchCell, other: BenchCell, refused: str | None) -> BenchRatio:
    num_pairs = len(_pairs(other.seconds, own.seconds))
    if refused is None and num_pairs == 0:
        refused = "there is no repeat that both finished"
    if refused is not None:
        return _refusal(own.name, other.name, other, refused)
    return BenchRatio(
        of=own.name,
        to=other.name,
        setting=other.setting,
        method=other.method,
        time=spread(other.seconds, own.seconds),
        memory=spread(other.peak_host_bytes, own.peak_host_bytes),
        added_memory=spread(other.added_host_bytes, own.added_host_bytes),
        start=spread(other.start_seconds, own.start_seconds),
        device_memory=spread(other.peak_device_bytes, own.peak_device_bytes),
        num_pairs=num_pairs,
        interval=_interval(num_pairs),
        loss_difference=_difference(other.train_loss, own.train_loss),
    )


def _refusal(of: str, to: str, cell: BenchCell, reason: str) -> BenchRatio:
    method: Method | None = cell.method
    return BenchRatio(
        of=of,
        to=to,
        setting=cell.setting,
        method=method,
        time=None,
        memory=None,
        added_memory=None,
        start=None,
        num_pairs=0,
        interval=None,
        refused=reason,
    )


def spread(other: Figures, own: Figures) -> Spread | None:
    """The median of other / own over the pairs that have both, and its limits."""
    found = [theirs / ours for theirs, ours in _pairs(other, own) if ours > 0]
    if not found:
        return None
    if len(found) == 1:
        return Spread(median=found[0], low=None, high=None)
    low, high = (
        _bootstrap(found) if len(found) >= ENOUGH_FOR_BOOTSTRAP else (min(found), max(found))
    )
    return Spread(median=median(found), low=low, high=high)


def _pairs(other: Figures, own: Figures) -> list[tuple[float, float]]:
    return [
        (theirs, ours)
        for theirs, ours in zip(other, own, strict=False)
        if theirs is not None and ours is not None
    ]


def _interval(num_pairs: int) -> _Interval | None:
    if num_pairs < 2:
        return None
    return "bootstrap 95 %" if num_pairs >= ENOUGH_FOR_BOOTSTRAP else "min-max"


def _bootstrap(found: Sequence[float]) -> tuple[float, float]:
    """95 % percentile interval of the median, pairs drawn again with replacement (Efron 1979)."""
    import numpy as np  # noqa: PLC0415 - slow to import

    generator = np.random.default_rng(0)
    drawn = generator.choice(np.asarray(found), size=(_DRAWS, len(found)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _difference(other: Figures, own: Figures) -> float | None:
    found = _pairs(other, own)
    return fmean(theirs - ours for theirs, ours in found) if found else None
