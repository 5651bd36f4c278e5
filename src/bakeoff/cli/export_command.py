"""`bakeoff export`."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.output import err, out
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides, RecipePath


def export(
    recipe: RecipePath,
    to: Annotated[
        str,
        typer.Option("--to", metavar="llamafactory|swift", help="Whose files.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for the files.", show_default=False),
    ],
    overrides: Overrides = None,
    cache_dir: CacheDir = None,
) -> None:
    """Write a training as the framework's own files, to be run by its own command."""
    from bakeoff.base.errors import UserError
    from bakeoff.cli.progress import make_observer
    from bakeoff.runner.export import export_training, frameworks
    from bakeoff.runner.prepare import prepare_study

    if to not in frameworks():
        raise UserError(f"--to {to}: expected one of {', '.join(frameworks())}")
    chosen = [*(overrides or []), f"backend={to}"]
    workspace = workspace_of_study(
        recipe, chosen, runs_dir=DEFAULT_RUNS_DIR, cache_dir=cache_dir, to_run=True
    )
    study = prepare_study(recipe, chosen, cache_dir=workspace.cache_dir)
    with make_observer(err(), study.plan, {}) as observer:
        folder = export_training(study, workspace, observer, output.resolve())
    out().print(f"wrote {folder}: read its README.md", soft_wrap=True, markup=False)
