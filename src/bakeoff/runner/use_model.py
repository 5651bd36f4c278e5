"""Using what a training made: the model behind a run, merged, or talked with."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole, read_json, write_files
from bakeoff.base.process import run_attached
from bakeoff.evals.task_file import stop_strings
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import TrainPlan, run_name
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store
from bakeoff.worker_launch import OFFLINE, worker_launch


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What a training left behind, and how it was asked."""

    run_id: str
    model_dir: Path
    """The model that it started from."""

    artefact_dir: Path
    is_adapter: bool
    """Whether the artefact needs ``model_dir``; else it is a whole model."""

    precision: str
    trust_remote_code: bool
    prompt: PromptSpec


def trained_model(store: Store, name: str) -> TrainedModel:
    """Of a training, or of an evaluation of its model.

    Raises:
        UserError: There is none, or its files are gone.
    """
    record = store.find(name)
    if record.kind == "eval":
        if record.parent_run_id is None:
            raise UserError(
                f"{record.run_id} scored the untouched model; expected a training",
                hint="name a training, or an evaluation of a trained model",
            )
        record = store.find(record.parent_run_id)
    run_dir = store.run_dir(record.run_id)
    artefact = run_dir / "artefact"
    if record.status == "finished" and not artefact.is_dir():
        raise UserError(
            f"the model that {record.run_id} made is not at {artefact} any more",
            hint="delete the run's folder; then `bakeoff run` of its recipe trains it again",
        )
    if record.status != "finished":
        raise UserError(
            f"{record.run_id} left no model ({record.status.replace('_', ' ')})",
            hint="`bakeoff results` lists the runs; `bakeoff run` of its recipe goes on with it",
        )
    job = read_json(run_dir / "job.json")
    model_dir = Path(job["model_dir"])
    if not model_dir.is_dir():
        raise UserError(
            f"the model that {record.run_id} started from is not at {model_dir} any more",
            hint=f"`bakeoff model fetch {record.provenance.model_source}` brings it again",
        )
    return TrainedModel(
        run_id=record.run_id,
        model_dir=model_dir,
        artefact_dir=artefact,
        is_adapter=(artefact / "adapter_config.json").is_file(),
        precision="fp32" if record.effective.get("precision") == "fp32" else "bf16",
        trust_remote_code=bool(job.get("trust_remote_code")),
        prompt=_prompt_of(store, record),
    )


def _prompt_of(store: Store, record: Record) -> PromptSpec:
    """As the study that holds the run put its questions."""
    for study in store.lists.studies_of(record.run_id):
        plan = store.study(study).plan
        trainings = {run_name(s): s for s in plan.steps if isinstance(s, TrainPlan)}
        found = plan.prompt_of(trainings[record.run_id].data_id)
        if found is not None:
            return found
    return PromptSpec()


def merge_model(model: TrainedModel, output: Path, workspace: Workspace) -> Mapping[str, Any]:
    """Write the model with its adapter folded in; how well it agrees with the two apart.

    Raises:
        UserError: The training made a whole model already, or ``output`` is there.
        RunError: The merged model says something else, or memory ran out.
    """
    if not model.is_adapter:
        raise UserError(
            f"{model.run_id} made a whole model, there is nothing to merge",
            hint=f"it lies in {model.artefact_dir}",
        )
    if output.exists():
        raise UserError(f"{output} exists already", hint="name another folder with -o")
    with folder_when_whole(output) as folder:
        return write_whole(model, folder, workspace, as_asked=False)


def write_whole(
    model: TrainedModel, folder: Path, workspace: Workspace, *, as_asked: bool
) -> dict[str, Any]:
    """Write a checkpoint that needs nothing else into ``folder``; what the worker found.

    Args:
        model: A training's.
        folder: Is there, and empty.
        workspace: Whose interpreter does it.
        as_asked: The prompt of the training becomes the checkpoint's chat template.

    Raises:
        RunError: The merged model says something else, or memory ran out.
    """
    job = {
        "model_dir": str(model.model_dir),
        "artefact_dir": str(model.artefact_dir.resolve()),
        "output_dir": str(folder),
        "precision": model.precision,
        "trust_remote_code": model.trust_remote_code,
        **({"prompt": model.prompt.model_dump(mode="json")} if as_asked else {}),
    }
    with tempfile.TemporaryDirectory() as name:
        launch = worker_launch("fold", job, python=workspace.python, env=OFFLINE)
        run_worker(launch, Path(name), environment=workspace.environment)
        found: dict[str, Any] = read_json(Path(name) / "result.json")
    return found


def asking_job(model: TrainedModel) -> dict[str, Any]:
    """What a job must know to ask the model as its training and its evaluations did."""
    return {
        "model_dir": str(model.model_dir),
        "artefact_dir": str(model.artefact_dir.resolve()),
        "device": "auto",
        "precision": model.precision,
        "trust_remote_code": model.trust_remote_code,
        "prompt": model.prompt.model_dump(mode="json"),
        "stops": stop_strings(model.prompt),
    }


def chat_with(
    model: TrainedModel,
    workspace: Workspace,
    *,
    untouched: bool,
    max_new_tokens: int,
    temperature: float,
) -> int:
    """Talk on this terminal until the input ends; the exit code of the talking process.

    ``untouched``: with the model that the training started from, in the same words.
    """
    job = {
        **asking_job(model),
        **({"artefact_dir": None} if untouched else {}),
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
    }
    launch = worker_launch("chat", job, python=workspace.python, env=OFFLINE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, launch.files)
        env = {**workspace.environment, **launch.env}
        return run_attached(launch.argv, env=env, cwd=folder)
