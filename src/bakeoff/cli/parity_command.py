"""`bakeoff parity`."""

from typing import Annotated

import typer

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides, RecipePath

_EXIT_DIFFERENT = 1


def parity(  # noqa: PLR0913, PLR0917 - the options of a command
    recipe: RecipePath,
    overrides: Overrides = None,
    backends: Annotated[
        str | None,
        typer.Option(help="Names, with commas between them; the recipe's by default."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of each training.")] = 3,
    seeds: Annotated[
        int,
        typer.Option(min=1, help="Trainings a backend; from 2 on their loss curves are compared."),
    ] = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if anything differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Do the backends see the same tokens, labels and first loss, and train in the same way?"""
    from bakeoff.cli.parity_view import parity_view
    from bakeoff.cli.progress import make_observer
    from bakeoff.compare.parity import compare_probes
    from bakeoff.runner.parity import ParityRunner
    from bakeoff.runner.prepare import prepare_study

    chosen = [*(overrides or []), *_short(steps, seeds)]
    if backends is not None:
        chosen.append(f"backend=[{backends}]")
    workspace = workspace_of_study(
        recipe, chosen, runs_dir=runs_dir, cache_dir=cache_dir, to_run=True
    )
    study = prepare_study(recipe, chosen, cache_dir=workspace.cache_dir)
    with make_observer(err(), study.plan, {}) as observer:
        cells = ParityRunner(study, workspace, observer).run()
    found = compare_probes(study.plan.study, cells)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(parity_view(found))
    failed = any(cell.failed for cell in found.cells)
    raise typer.Exit(_EXIT_DIFFERENT if failed or (strict and found.differences) else 0)


def _short(steps: int, seeds: int) -> list[str]:
    """What makes a training short; the work of each step stays the recipe's."""
    return [
        f"train.max_steps={steps}",
        "train.save_every=0",
        "train.validate_every=0",
        f"seed=[{','.join(str(seed) for seed in range(seeds))}]",
    ]
