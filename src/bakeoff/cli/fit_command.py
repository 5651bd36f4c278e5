"""`bakeoff fit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides

if TYPE_CHECKING:
    from bakeoff.runner.prepare import PreparedStudy
    from bakeoff.runner.workspace import Workspace

_EXIT_DOES_NOT_FIT = 1

if TYPE_CHECKING:
    from bakeoff.predict.device import Device


def fit(  # noqa: PLR0913, PLR0917 - the options of a command
    recipe: Annotated[
        Path | None, typer.Argument(help="The recipe (YAML).", show_default=False)
    ] = None,
    overrides: Overrides = None,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of --list-gpus; this machine by default."),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of the device, such as 8GB.")
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Is a figure such as 8.7GB possible at all?"),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Train three real steps at the longest row: how many rows a pass fit?"
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="By formulas alone: no step is traced.")
    ] = False,
    list_gpus: Annotated[bool, typer.Option("--list-gpus", help="Name the GPUs.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if a training does not fit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Predict memory, time and disk of every training, and say what to change so that it fits."""
    from bakeoff.cli.fit_view import fit_view, gpu_table
    from bakeoff.predict.gpus import GPUS

    if list_gpus:
        table = [found.model_dump(mode="json") for found in GPUS.values()]
        print_json(table) if as_json else out().print(gpu_table(list(GPUS.values())))
        return
    if recipe is None:
        raise UserError("expected a recipe", hint="bakeoff fit RECIPE [--gpu NAME]")
    from bakeoff.predict.device import parse_bytes
    from bakeoff.runner.fit import Fitter, Options
    from bakeoff.runner.fit_inputs import device_asked
    from bakeoff.runner.prepare import prepare_study

    workspace = workspace_of_study(recipe, overrides or [], runs_dir=runs_dir, cache_dir=cache_dir)
    study = prepare_study(recipe, overrides or [], cache_dir=workspace.cache_dir)
    if probe:
        _probe(study, workspace, device_asked(gpu or _wanted(study), memory), as_json=as_json)
        return
    claimed = parse_bytes(claim, option="--claim") if claim is not None else None
    options = Options(device=device_asked(gpu, memory), claimed_bytes=claimed, may_trace=not quick)
    report = Fitter(study, workspace, options).report()
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        out().print(fit_view(report))
    if strict and any(run.fits is False for run in report.runs):
        raise typer.Exit(_EXIT_DOES_NOT_FIT)


def _wanted(study: "PreparedStudy") -> str | None:
    """A probe runs here: on the CPU if the recipe says so, or if there is no GPU."""
    from bakeoff.runner.fit_inputs import gpus_here
    from bakeoff.schema.plan import TrainPlan

    devices = {step.device for step in study.plan.steps if isinstance(step, TrainPlan)}
    return "cpu" if devices == {"cpu"} or not gpus_here() else None


def _probe(
    study: "PreparedStudy", workspace: "Workspace", device: "Device", *, as_json: bool
) -> None:
    from bakeoff.cli.fit_observer import Lines
    from bakeoff.cli.fit_view import probe_view
    from bakeoff.cli.output import err
    from bakeoff.runner.fit_probe import Prober

    found = Prober(study, workspace, device, Lines(err())).run()
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    else:
        out().print(probe_view(found))
