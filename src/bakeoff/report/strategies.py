"""How trainings were spread over processes: sentences and a table for reports and terminals."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.compare import numbers
from bakeoff.compare.strategies import ALONE, SpreadComparison, SpreadCost
from bakeoff.report.table import Cell, Column, Table, cells, without_empty_columns

_FRONT = "\N{BLACK STAR}"
_SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class StrategiesPart:
    """What the section says of one backend and method."""

    heading: str
    sentences: list[str]
    table: Table


def strategies_parts(found: Sequence[SpreadComparison]) -> list[StrategiesPart]:
    return [
        StrategiesPart(
            one.title, [advice(one), *_precision(one), *_sameness(one)], strategies_table(one)
        )
        for one in found
    ]


def strategies_table(found: SpreadComparison) -> Table:
    """A line a strategy."""
    columns = [
        Column("strategy", "left"),
        Column("processes"),
        Column("memory of a process"),
        Column("predicted"),
        Column("memory in sum"),
        Column("step"),
        Column("tokens/s a process"),
        Column("efficiency"),
        Column("sent a step: formula"),
        Column("measured"),
        Column("share of step"),
        Column("weights / master / state", "left"),
        Column("loss differs by"),
    ]
    rows = [_line(cost) for cost in found.costs]
    where = "GPU memory of tensors" if found.is_device_memory else "host memory added at work"
    note = (
        f"{_FRONT}: no other strategy needs less memory and less time at once. Memory is {where}, "
        "of the process that needed most; `predicted` is of the same counter. Efficiency: tokens a "
        "second of a process over those of `single`. Sent: what each process sends in an optimiser "
        "step, by the method's formula and by torch's profiler in one step; its share of that "
        "step's time includes waiting. Losses are held against `single`, step by step."
    )
    table = Table(columns, rows, note=note, key="strategies")
    return without_empty_columns(table, numbers.MISSING)


def _line(cost: SpreadCost) -> list[Cell]:
    exchange = cost.exchange
    mark = f" {_FRONT}" if cost.on_front else ""
    return [
        Cell(f"{cost.strategy}{mark}", "good" if cost.on_front else ""),
        *cells(
            str(cost.num_processes),
            numbers.num_bytes(cost.rank_bytes),
            numbers.num_bytes(cost.predicted_bytes),
            numbers.num_bytes(cost.sum_bytes),
            seconds(cost.step_seconds),
            numbers.rate(cost.tokens_per_second),
            numbers.percent(cost.efficiency, digits=0),
            numbers.num_bytes(exchange.formula_bytes if exchange else None),
            numbers.num_bytes(exchange.measured_bytes if exchange else None),
            numbers.percent(exchange.share_of_step if exchange else None, digits=0),
            " / ".join(_SHORT.get(str(kind), str(kind or "?")) for kind in cost.formats),
            numbers.MISSING if cost.loss_difference is None else f"{cost.loss_difference:.1e}",
        ),
    ]


def seconds(value: float | None) -> str:
    """Of a step."""
    return numbers.MISSING if value is None else f"{value:.3g} s"


def advice(found: SpreadComparison) -> str:
    """One sentence: what to take here, and what when that does not fit."""
    measured = [
        cost
        for cost in found.costs
        if cost.rank_bytes is not None and cost.step_seconds is not None
    ]
    if len(measured) < 2:
        return "Too little was measured to say what to take."
    fastest = min(measured, key=lambda cost: cost.step_seconds or 0.0)
    leanest = min(measured, key=lambda cost: cost.rank_bytes or 0)
    head = f"Here ({found.title}), take {_named(fastest)}"
    if fastest is leanest:
        return f"{head}: nothing else is faster or needs less memory ({_figures(fastest)})."
    times = (leanest.step_seconds or 0.0) / (fastest.step_seconds or 1.0)
    return (
        f"{head}, the fastest ({_figures(fastest)}); where that does not fit, {_named(leanest)}, "
        f"which needs least ({_figures(leanest)}) and takes {times:.2f} times as long a step."
    )


def _named(cost: SpreadCost) -> str:
    if cost.strategy == ALONE:
        return "`single`, one process"
    return f"`{cost.strategy}` over {cost.num_processes} processes"


def _figures(cost: SpreadCost) -> str:
    return f"{numbers.num_bytes(cost.rank_bytes)} a process, {seconds(cost.step_seconds)} a step"


def _precision(found: SpreadComparison) -> list[str]:
    """Where strategies compute or keep weights in other formats, they compare more than sharing."""
    by_formats: dict[tuple[str | None, ...], list[str]] = {}
    for cost in found.costs:
        by_formats.setdefault(cost.formats, []).append(f"`{cost.strategy}`")
    if len(by_formats) < 2:
        return []
    told = [
        f"{', '.join(names)}: {' / '.join(_SHORT.get(str(kind), str(kind)) for kind in kinds)}"
        for kinds, names in by_formats.items()
    ]
    return [
        "Number formats differ (weights / master weights / optimiser state), so memory and losses "
        f"compare more than the way of spreading: {'; '.join(told)}."
    ]


def _sameness(found: SpreadComparison) -> list[str]:
    differences = [cost.loss_difference for cost in found.costs if cost.loss_difference is not None]
    if not differences:
        return []
    digests = {cost.batch_digest for cost in found.costs}
    rows = (
        "All saw equal rows in each step"
        if len(digests) == 1 and None not in digests
        else ("Not all saw equal rows in each step, so times and losses compare different work")
    )
    return [
        f"{rows}; the losses of no step differ from those of `single` by "
        f"more than {max(differences):.1e} of their value."
    ]
