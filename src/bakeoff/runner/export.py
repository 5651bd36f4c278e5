"""A training as files that a person runs with the framework's own command, without bakeoff."""

import shutil
import tempfile
from pathlib import Path

from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.training import OUTPUT_DIR, Framework
from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole, write_text_atomic
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.locks import read_lock
from bakeoff.interfaces import Inputs
from bakeoff.runner.execute import Executor
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import DataStep, ModelStep, TrainPlan
from bakeoff.store.runs import Store

NOTE = "README.md"
_OURS = {
    OUTPUT_DIR,
    "job.json",
    "events.jsonl",
    "environment.json",
    "log.txt",
    "memory-rank0.json",
}
"""What the worker needs or leaves, and the framework does not."""


def frameworks() -> list[str]:
    """Names of the backends that can be exported to."""
    return [n for n in BACKENDS.names() if issubclass(BACKENDS.get(n), Framework)]


def export_training(
    study: PreparedStudy, workspace: Workspace, observer: Observer, output_dir: Path
) -> Path:
    """Write the one training of ``study`` into ``output_dir``, which appears when whole.

    Raises:
        UserError: There are several trainings, or the folder is not empty.
        RunError: The rows could not be written; holds the end of the log.
    """
    step = _only_training(study)
    _require_empty(output_dir)
    backend = BACKENDS.get(step.backend)()
    if not isinstance(backend, Framework):
        raise UserError(f"the backend `{step.backend}` has no files of its own")
    executor = Executor(
        study.plan.study,
        study.base_dir,
        workspace=workspace,
        store=Store(workspace.runs_dir),
        observer=observer,
    )
    sources = [s for s in study.plan.steps if isinstance(s, ModelStep | DataStep)]
    for index, source in enumerate(sources, start=1):
        observer.step_started(source, Position(index, len(sources)))
        executor.bring(source)
        observer.step_finished(source, None, reused=False)
    inputs = executor.inputs_of(step, own_python=True)
    with tempfile.TemporaryDirectory(prefix="bakeoff-export-") as name:
        made = Path(name).resolve()
        launch = backend.export(step, inputs, made)
        run_worker(launch, made, environment=workspace.environment)
        write_text_atomic(made / NOTE, _note(backend, inputs))
        with folder_when_whole(output_dir) as folder:
            shutil.copytree(
                made,
                folder,
                symlinks=True,
                ignore=lambda _, names: _OURS.intersection(names),
                dirs_exist_ok=True,
            )
    return output_dir


def _only_training(study: PreparedStudy) -> TrainPlan:
    steps = [s for s in study.plan.steps if isinstance(s, TrainPlan) and s.turn == 1]
    if len(steps) == 1:
        return steps[0]
    axes = ", ".join(f"`{axis}`" for axis in _training_axes(study))
    raise UserError(
        f"{study.tree.path}: there are {len(steps)} trainings, over {axes}; one can be exported",
        hint=f"choose a value of each, such as --set {_training_axes(study)[0]}=VALUE",
    )


def _require_empty(folder: Path) -> None:
    """Nothing is replaced, not even an export: a model may have been trained in it since."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", hint="name a folder that is not there yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder} holds files already, which an export does not replace",
            hint="name a folder that is empty or not there yet",
        )


def _training_axes(study: PreparedStudy) -> list[str]:
    """Those that make several trainings of one."""
    return [axis for axis in study.plan.axes if not axis.startswith("evaluate.")]


def _note(backend: Framework, inputs: Inputs) -> str:
    spec = ENVIRONMENTS.get(backend.name)
    version = read_lock(spec).version(spec.distribution)
    lines = [
        f"# A training for {backend.title}, exported by bakeoff",
        "",
        f"Needs {spec.distribution} {version}; run it in this folder:",
        "",
        f"    {backend.command_for(inputs.distribution)}",
        "",
        f"- `{backend.config_file}`: every setting, none left to the framework's defaults.",
        "- `train.jsonl`: the rows, rendered, filtered by length and in the order of training.",
        f"- {backend.where_the_model_is.format(model_dir=inputs.model_dir)}",
    ]
    return "\n".join(lines) + "\n"
