"""`bakeoff cluster check`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bakeoff.base.errors import UserError
from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, RunsDir

commands = typer.Typer(no_args_is_help=True, help="A cluster for `execution: ray` or `slurm`.")


@commands.command("check")
def check(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="Its `execution`, `ray` and `slurm` are tried.", show_default=False),
    ] = None,
    *,
    address: Annotated[
        str, typer.Option(help="Of the cluster's head; `auto`: the one this machine is part of.")
    ] = "auto",
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What each machine has and lacks: devices, versions, whether it sees the runs folder."""
    from bakeoff.runner.cluster_check import check_cluster
    from bakeoff.runner.prepare import settings_of
    from bakeoff.schema.recipe_machine import RaySpec

    spec = settings_of(recipe, []).cluster if recipe is not None else RaySpec(address=address)
    if spec is None:
        raise UserError(
            f"{recipe} names no cluster", hint="write `execution: ray` or `execution: slurm`"
        )
    runs_dir.mkdir(parents=True, exist_ok=True)
    found = check_cluster(spec, runs_dir.resolve())
    if as_json:
        print_json([asdict(node) for node in found])
    else:
        table = Table(box=None, pad_edge=False)
        for header in ("node", "host", "CPUs", "GPUs", "memory", "bakeoff", "runs folder", ""):
            table.add_column(header)
        for node in found:
            shares = {True: "shared", False: "sent back", None: "?"}[node.shares_runs]
            told = "; ".join(node.problems) or "ready"
            table.add_row(
                node.node, node.host, f"{node.cpus:g}", f"{node.gpus:g}", f"{node.memory_gb:g} GB",
                node.bakeoff or "?", shares, told,
            )  # fmt: skip
        out().print(table)
    raise typer.Exit(1 if any(node.problems for node in found) else 0)
