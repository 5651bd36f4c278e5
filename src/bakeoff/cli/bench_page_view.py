"""Times of pages as a table."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import count
from bakeoff.schema.bench import PageBench


def page_view(bench: PageBench) -> RenderableType:
    work = bench.work
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("page")
    for column in ("median", "fastest", "slowest", "size"):
        table.add_column(column, justify="right")
    for cell in bench.cells:
        style = "red" if cell.median_seconds > bench.limit_seconds else ""
        table.add_row(
            cell.page,
            Text(_ms(cell.median_seconds), style),
            _ms(min(cell.seconds)),
            _ms(max(cell.seconds)),
            f"{cell.num_bytes / 1024:.0f} KiB",
        )
    slow = sum(cell.median_seconds > bench.limit_seconds for cell in bench.cells)
    limit = _ms(bench.limit_seconds)
    foot = f"{slow} pages above {limit}" if slow else f"every page within {limit} at the median"
    head = (
        f"{count(work['num_runs'])} runs of {work['num_studies']} studies, "
        f"{count(work['num_samples'])} answers; index made and first page shown in "
        f"{work['first_start_seconds']:.1f} s"
    )
    return Group(Text(head, style="bold"), table, Text(foot, "red" if slow else "green"))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
