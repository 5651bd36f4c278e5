"""Predictions beside measurements, for people."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from bakeoff.compare.numbers import percent
from bakeoff.schema.prediction import FitBench


def fit_bench_view(found: FitBench) -> RenderableType:
    """Each case, then each source of predictions."""
    cases = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    cases.add_column("case", overflow="fold")
    cases.add_column("source", no_wrap=True)
    cases.add_column("counter", no_wrap=True)
    for column in ("predicted", "measured", "error"):
        cases.add_column(column, justify="right", no_wrap=True)
    for case in found.cases:
        cases.add_row(
            case.case,
            case.source,
            case.counter,
            f"{case.predicted_bytes / 1e9:.2f} GB",
            f"{case.measured_bytes / 1e9:.2f} GB",
            f"{100 * case.relative_error:+.1f} %",
        )
    sources = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    sources.add_column("source", overflow="fold")
    for column in ("cases", "median error", "worst error", "predicted too low"):
        sources.add_column(column, justify="right", no_wrap=True)
    for one in found.sources:
        sources.add_row(
            one.source,
            str(one.num_cases),
            percent(one.median_error),
            percent(one.worst_error),
            percent(one.share_under, digits=0),
        )
    left = [f"{count} x left out: {reason}" for reason, count in found.left_out.items()]
    return Group(cases, sources, *left)
