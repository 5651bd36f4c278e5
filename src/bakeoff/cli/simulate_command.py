"""`bakeoff simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides

if TYPE_CHECKING:
    from bakeoff.schema.simulation import Scaling

_MOST_DEVICES = 1024


def simulate(  # noqa: PLR0913, PLR0917 - the options of a command
    recipe: Annotated[
        Path | None, typer.Argument(help="The recipe (YAML).", show_default=False)
    ] = None,
    overrides: Overrides = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of `bakeoff fit --list-gpus`.")
    ] = None,
    devices: Annotated[
        str, typer.Option(metavar="N,N...", help="How many devices, up to 1024.")
    ] = "1,2,4,8,16,64,256,1024",
    per_node: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Devices of a machine.")
    ] = None,
    inside: Annotated[
        str | None, typer.Option(metavar="LINK", help="Between the devices of a machine.")
    ] = None,
    between: Annotated[
        str | None, typer.Option(metavar="[Nx]LINK", help="Between machines, such as 8xib-200.")
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(metavar="NAME,NAME...", help="All that the trainer takes.")
    ] = None,
    scaling: Annotated[
        str,
        typer.Option(
            help="`strong`: equally many rows a step in all; `weak`: for each device; or `both`."
        ),
    ] = "both",
    mfu: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Share of the GPU's speed while it computes."),
    ] = None,
    list_links: Annotated[bool, typer.Option("--list-links", help="Name the links.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write a page with pictures there."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Predict memory, step time and efficiency of every strategy on devices that are not here."""
    from bakeoff.cli.simulate_view import links_table, simulation_view
    from bakeoff.predict.links import LINKS, cluster_named

    if list_links:
        table = [found.model_dump(mode="json") for found in LINKS.values()]
        print_json(table) if as_json else out().print(links_table(list(LINKS.values())))
        return
    if recipe is None or gpu is None:
        raise UserError(
            "expected a recipe and a GPU", hint="bakeoff simulate RECIPE --gpu a100-80gb"
        )
    from bakeoff.predict.device import device_named
    from bakeoff.predict.duration import EFFICIENCY
    from bakeoff.predict.gpus import find_gpu
    from bakeoff.runner.prepare import prepare_study
    from bakeoff.runner.simulate import Asked
    from bakeoff.runner.simulate import simulate as run

    asked = Asked(
        cluster=cluster_named(
            find_gpu(gpu), devices_per_node=per_node, inside=inside, between=between
        ),
        device=device_named(gpu),
        num_devices=_numbers(devices),
        strategies=_strategies(strategies),
        mfu=mfu if mfu is not None else EFFICIENCY,
        scalings=_scalings(scaling),
    )
    workspace = workspace_of_study(recipe, overrides or [], runs_dir=runs_dir, cache_dir=cache_dir)
    study = prepare_study(recipe, overrides or [], cache_dir=workspace.cache_dir)
    found = run(study, workspace, asked)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(simulation_view(found))
    if output is not None:
        from bakeoff.cli.summary import print_report_paths
        from bakeoff.report.simulation_report import write_simulation_report

        paths = write_simulation_report(found, output, workspace.command_line)
        print_report_paths(paths, err() if as_json else out())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = [0]
    if not 1 <= found[0] <= found[-1] <= _MOST_DEVICES:
        raise UserError(
            f"--devices: expected numbers from 1 to {_MOST_DEVICES} with commas; got `{text}`",
            hint="--devices 1,8,64",
        )
    return tuple(found)


def _strategies(text: str | None) -> tuple[str, ...]:
    from bakeoff.strategies import STRATEGIES

    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    for name in names:
        STRATEGIES.get(name)
    return names


def _scalings(text: str) -> "tuple[Scaling, ...]":
    if text == "both":
        return ("strong", "weak")
    if text == "strong":
        return ("strong",)
    if text == "weak":
        return ("weak",)
    raise UserError(
        f"--scaling: expected strong, weak or both; got `{text}`", hint="--scaling weak"
    )
