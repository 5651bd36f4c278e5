"""`bakeoff plan` and `bakeoff run`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.output import err, out
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study

ASK_ABOVE_NUM_TRAININGS = 20

RecipePath = Annotated[Path, typer.Argument(help="The recipe (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the recipe; repeatable."),
]


def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every step and what is finished already; run nothing."""
    from bakeoff.cli.output import print_json
    from bakeoff.cli.plan_view import plan_json, plan_table
    from bakeoff.runner.fit_check import predict_steps
    from bakeoff.runner.prepare import prepare_study
    from bakeoff.runner.progress import steps_done_before

    workspace = workspace_of_study(recipe, overrides or [], runs_dir=runs_dir, cache_dir=cache_dir)
    study = prepare_study(recipe, overrides or [], cache_dir=workspace.cache_dir)
    done = steps_done_before(study, workspace)
    predicted = predict_steps(study, workspace, done)
    if as_json:
        print_json(plan_json(study.plan, done, predicted))
    else:
        out().print(plan_table(study.plan, done, predicted))


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    recipe: RecipePath,
    overrides: Overrides = None,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start trainings that cannot fit in memory as well.")
    ] = False,
    then: Annotated[
        str | None,
        typer.Option(
            "--then",
            metavar="COMMAND",
            help="Run this after the study has ended, such as 'shutdown'; not after Ctrl-C.",
        ),
    ] = None,
) -> None:
    """Do the whole study. Safe to repeat: what is finished is reused, what was killed goes on."""
    from bakeoff.cli.progress import make_observer
    from bakeoff.cli.summary import print_summary
    from bakeoff.runner.disk import check_disk
    from bakeoff.runner.prepare import prepare_study
    from bakeoff.runner.progress import steps_done_before
    from bakeoff.runner.run_study import run_study
    from bakeoff.schema.plan import TrainPlan

    workspace = workspace_of_study(
        recipe, overrides or [], runs_dir=runs_dir, cache_dir=cache_dir, to_run=True
    )
    study = prepare_study(recipe, overrides or [], cache_dir=workspace.cache_dir)
    num_trainings = sum(isinstance(step, TrainPlan) for step in study.plan.steps)
    if num_trainings > ASK_ABOVE_NUM_TRAININGS and not yes and sys.stdin.isatty():
        typer.confirm(f"This study has {num_trainings} trainings. Go on?", abort=True, err=True)
    done = steps_done_before(study, workspace)
    check_disk(study, workspace, done)
    with make_observer(err(), study.plan, done) as observer:
        outcome = run_study(study, workspace, observer, force=force)
    print_summary(study.plan.study, outcome, workspace)
    if then is not None:
        _do_afterwards(then)
    raise typer.Exit(0 if outcome.is_whole else 1)


def _do_afterwards(command: str) -> None:
    """What the person asked for; the study's own exit code stays."""
    from bakeoff.base.process import run_shell

    err().print(f"the study has ended; running `{command}`", markup=False, soft_wrap=True)
    code, output = run_shell(command)
    said = f": {output}" if output else ""
    err().print(f"`{command}` ended with exit code {code}{said}", markup=False, soft_wrap=True)
