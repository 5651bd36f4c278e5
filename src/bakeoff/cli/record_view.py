"""Records as a table, a line a run."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bakeoff.compare.names import name_runs
from bakeoff.compare.numbers import MISSING, num_bytes, percent, rate, seconds
from bakeoff.schema.figures import peak_memory
from bakeoff.schema.record import Record

_COLOURS = {"finished": "green", "failed": "red", "out_of_memory": "red", "cancelled": "yellow"}


def records_table(records: Sequence[Record]) -> Table:
    names = name_runs(records)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("result", overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("tokens/s", justify="right", no_wrap=True)
    table.add_column("peak memory", justify="right", no_wrap=True)
    for record in records:
        measured = record.measurement
        table.add_row(
            record.run_id,
            names[record.run_id] + (f", turn {record.turn}" if record.turn > 1 else ""),
            Text(record.status.replace("_", " "), _COLOURS[record.status]),
            _result(record),
            seconds(measured.wall_seconds if measured else None),
            rate(measured.tokens_per_second if measured else None),
            num_bytes(peak_memory(measured)[0]),
        )
    return table


def _result(record: Record) -> str:
    if record.kind == "eval":
        return ", ".join(f"{score.filter} {percent(score.value)}" for score in record.scores)
    losses = [point.loss for point in record.losses if point.split == "train"]
    if not losses or losses[-1] is None:
        return MISSING
    return f"last loss {losses[-1]:.3f}"
