"""What `bakeoff eval` came to: a line an evaluation, every filter side by side."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from bakeoff.compare.numbers import MISSING, count, percent, points
from bakeoff.report.results import accuracy_text
from bakeoff.schema.comparison import Row


def evaluations_table(rows: Sequence[Row]) -> Table:
    """Strict and flexible scores together: neither alone tells what a model can do."""
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        runs.setdefault((row.run_id, row.task), []).append(row)
    ways = list(dict.fromkeys(_way(row) for row in rows))
    has_difference = any(row.difference for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "task"):
        table.add_column(name, overflow="fold")
    table.add_column("shots", justify="right")
    table.add_column("items", justify="right")
    for way in ways:
        table.add_column(way, justify="right", no_wrap=True)
    if has_difference:
        table.add_column("to base (points)", justify="right", no_wrap=True)
    table.add_column("cut at limit", justify="right")
    for same in runs.values():
        first = same[0]
        cells = {_way(row): accuracy_text(row) for row in same}
        headline = next((row for row in same if row.is_headline), first)
        table.add_row(
            first.name,
            first.task,
            str(first.num_fewshot),
            count(first.num_items),
            *(cells.get(way, MISSING) for way in ways),
            *([_difference(headline)] if has_difference else []),
            percent(first.share_token_limit),
        )
    return table


def _way(row: Row) -> str:
    return row.metric if row.filter == "none" else f"{row.metric}\n{row.filter}"


def _difference(row: Row) -> str:
    found = row.difference
    if found is None or found.interval is None:
        return MISSING
    low, high = (points(value, signed=False) for value in (found.interval.low, found.interval.high))
    return f"{points(found.difference)} ({low} to {high})"
