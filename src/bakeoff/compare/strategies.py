"""Trainings that differ in nothing but how they were spread over processes, side by side.

Memory is that of the process that needed most, time that of a step. What no other beats in both is
on the Pareto front. Efficiency holds tokens a second of each process against those of `single` with
the same backend and method.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bakeoff.base.pareto import beats
from bakeoff.compare.names import backend_title, method_title
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Exchange, RankPeak, Record

ALONE = "single"
_SPREADING = ("strategy", "world_size", "nodes", "seed")


@dataclass(frozen=True, kw_only=True)
class SpreadCost:
    """What one strategy cost: the median where a training was done several times."""

    strategy: str
    num_processes: int
    rank_bytes: int | None
    """Of the process that needed most."""

    sum_bytes: int | None
    """Over all processes."""

    predicted_bytes: int | None
    """Of a process, by the same counter as ``rank_bytes``."""

    step_seconds: float | None
    tokens_per_second: float | None
    """Of each process."""

    efficiency: float | None
    """That over the one of `single`; 1 would be no loss at all."""

    exchange: Exchange | None
    formats: tuple[str | None, str | None, str | None]
    """Of the weights that compute, of those that the optimiser moves, of its state."""

    loss_difference: float | None
    """The largest of any step to `single`, relative."""

    batch_digest: str | None = None
    """Of all rows in the order of training: equal where the same was learned."""

    on_front: bool = False


@dataclass(frozen=True)
class SpreadComparison:
    """The strategies of one backend, method and everything else."""

    backend: str
    cell: Mapping[str, AxisValue]
    is_device_memory: bool
    costs: tuple[SpreadCost, ...]

    @property
    def title(self) -> str:
        rest = [f"{key} {value}" for key, value in self.cell.items() if key not in _TITLED]
        method = method_title(str(self.cell.get("method")))
        return ", ".join([method, backend_title(self.backend), *rest])


_TITLED = ("method", "backend")


def compare_strategies(records: Iterable[Record]) -> list[SpreadComparison]:
    """Of all finished trainings; nothing where no two strategies did the same work."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "train" and record.status == "finished" and record.measurement:
            rest = {k: v for k, v in record.cell.items() if k not in _SPREADING}
            groups.setdefault(repr(sorted(rest.items(), key=str)), []).append(record)
    found = [_comparison(group) for group in groups.values() if len(_by_spread(group)) > 1]
    return [one for one in found if len({cost.strategy for cost in one.costs}) > 1]


def _comparison(records: Sequence[Record]) -> SpreadComparison:
    by_spread = _by_spread(records)
    alone = next((some for (name, _), some in by_spread.items() if name == ALONE), None)
    on_device = any(_device_bytes(r.measurement.peak_by_rank) for r in records if r.measurement)
    costs = [_cost(some, alone, on_device=on_device) for some in by_spread.values()]
    first = records[0]
    rest = {k: v for k, v in first.cell.items() if k not in _SPREADING}
    return SpreadComparison(str(first.cell["backend"]), rest, on_device, _with_front(costs))


def _by_spread(records: Sequence[Record]) -> dict[tuple[str, int], list[Record]]:
    found: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        key = str(record.cell["strategy"]), int(str(record.cell.get("world_size", 1)))
        found.setdefault(key, []).append(record)
    return found


def _cost(
    records: Sequence[Record], alone: Sequence[Record] | None, *, on_device: bool
) -> SpreadCost:
    first = records[0]
    measured = [record.measurement for record in records if record.measurement is not None]
    number = measured[0].num_processes
    ranks = [_rank_bytes(m.peak_by_rank, on_device=on_device) for m in measured]
    each = _per_process(records)
    reference = _per_process(alone) if alone else None
    prediction = first.prediction
    predicted = None
    if prediction is not None:
        predicted = prediction.allocated_bytes if on_device else prediction.host_bytes
    effective = first.effective
    kinds = [effective.get(f"{name}_dtype") for name in ("weight", "master", "optimizer")]
    return SpreadCost(
        strategy=str(first.cell["strategy"]),
        num_processes=number,
        rank_bytes=_median(max(some) for some in ranks if some),
        sum_bytes=_median(sum(some) for some in ranks if some),
        predicted_bytes=predicted,
        step_seconds=_median_seconds(m.step_seconds_median for m in measured),
        tokens_per_second=each,
        efficiency=each / reference if each and reference else None,
        exchange=measured[0].exchange,
        formats=(kinds[0], kinds[1] or effective.get("trained_dtype"), kinds[2]),
        batch_digest=effective.get("batch_digest"),
        loss_difference=_loss_difference(first, alone[0]) if alone and first not in alone else None,
    )


def _rank_bytes(ranks: Sequence[RankPeak], *, on_device: bool) -> list[int]:
    """Of each process: on a GPU what tensors took, on a host what was added to it at its start."""
    if on_device:
        return _device_bytes(ranks)
    return [
        rank.host_bytes - rank.start_host_bytes
        for rank in ranks
        if rank.host_bytes is not None and rank.start_host_bytes is not None
    ]


def _device_bytes(ranks: Sequence[RankPeak]) -> list[int]:
    return [r.device_allocated_bytes for r in ranks if r.device_allocated_bytes is not None]


def _per_process(records: Sequence[Record]) -> float | None:
    """Tokens a second, of steady steps where there are any."""
    speeds = [
        speed / m.num_processes
        for record in records
        if (m := record.measurement) is not None
        and (speed := m.steady_tokens_per_second or m.tokens_per_second) is not None
    ]
    return median(speeds) if speeds else None


def _loss_difference(record: Record, reference: Record) -> float | None:
    theirs = {point.step: point.loss for point in reference.losses if point.split == "train"}
    found = [
        abs(point.loss - other) / abs(other)
        for point in record.losses
        if point.split == "train"
        and point.loss is not None
        and (other := theirs.get(point.step)) is not None
        and other != 0
    ]
    return max(found, default=None)


def _with_front(costs: Sequence[SpreadCost]) -> tuple[SpreadCost, ...]:
    return tuple(replace(cost, on_front=_is_on_front(cost, costs)) for cost in costs)


def _is_on_front(cost: SpreadCost, costs: Sequence[SpreadCost]) -> bool:
    """Whether no other needs less memory and time at once."""
    if cost.rank_bytes is None or cost.step_seconds is None:
        return False
    return not any(
        other.rank_bytes is not None
        and other.step_seconds is not None
        and beats((other.rank_bytes, other.step_seconds), (cost.rank_bytes, cost.step_seconds))
        for other in costs
    )


def _median(values: Iterable[int]) -> int | None:
    found = list(values)
    return round(median(found)) if found else None


def _median_seconds(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return median(found) if found else None
