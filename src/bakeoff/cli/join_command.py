"""`bakeoff join`."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.output import err
from bakeoff.cli.places import make_workspace


def join(
    runs_dir: Annotated[
        Path, typer.Argument(help="Folder of runs, shared with the first machine.")
    ],
    once: Annotated[bool, typer.Option("--once", help="End after one training.")] = False,
) -> None:
    """Take part in trainings of several machines, which `bakeoff run` does on another."""
    from bakeoff.base.errors import UserError
    from bakeoff.runner.join import join_runs

    if not runs_dir.is_dir():
        raise UserError(
            f"there is no folder {runs_dir}",
            hint="name the folder of runs of the machine on which `bakeoff run` was started",
        )
    environment = make_workspace(runs_dir, None).environment
    code = join_runs(
        runs_dir.resolve(),
        environment=environment,
        once=once,
        say=lambda text: err().print(text, markup=False, soft_wrap=True),
    )
    raise typer.Exit(0 if code == 0 else 1)
