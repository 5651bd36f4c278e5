"""`bakeoff bench simulate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.output import out, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bakeoff.schema.simulation import SimulatorBench


def simulate(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold the simulator against published speeds on 4 to 256 devices."""
    from bakeoff.predict.speed_scores import score_speeds

    found = score_speeds()
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(_view(found))


def _view(found: "SimulatorBench") -> "RenderableType":
    from rich import box
    from rich.console import Group
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("speed of a device, from ... to ...", overflow="fold")
    for column in ("published", "predicted", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    for case in found.cases:
        table.add_row(
            case.case,
            f"x {case.published_ratio:.3f}",
            f"x {case.predicted_ratio:.3f}",
            f"{100 * case.relative_error:+.1f} %",
        )
    sources = [f"  {source}" for source in dict.fromkeys(case.source for case in found.cases)]
    summary = (
        f"{len(found.cases)} cases: median error {100 * found.median_error:.1f} %, worst "
        f"{100 * found.worst_error:.1f} %; had every case been called unchanged (x 1), "
        f"{100 * found.unchanged_error:.1f} %"
    )
    return Group(table, summary, "Sources:", *sources)
