"""Which steps of a plan are behind us."""

from bakeoff import models
from bakeoff.runner.environments import is_installed
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import (
    DataStep,
    EnvironmentStep,
    EvalPlan,
    Source,
    Step,
    TrainPlan,
    run_name,
)
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store


def steps_done_before(study: PreparedStudy, workspace: Workspace) -> dict[str, Record | None]:
    """The ids of steps that `bakeoff run` would find done, with the records of runs."""
    store = Store(workspace.runs_dir)
    done: dict[str, Record | None] = {}
    for step in study.plan.steps:
        if isinstance(step, TrainPlan | EvalPlan):
            record = store.record_of(step)
            if record is not None and record.status == "finished":
                done[run_name(step)] = record
        elif _is_on_disk(step, study, workspace):
            done[step_name(step)] = None
    return done


def step_name(step: Step) -> str:
    """Names a step within a plan."""
    return run_name(step) if isinstance(step, TrainPlan | EvalPlan) else f"{step.kind}-{step.id}"


def _is_on_disk(step: Source, study: PreparedStudy, workspace: Workspace) -> bool:
    if isinstance(step, DataStep):
        return (workspace.data_dir(step.id) / "manifest.json").is_file()
    if isinstance(step, EnvironmentStep):
        return is_installed(step, workspace.cache_dir)
    found = models.locate(step.model, base_dir=study.base_dir, cache_dir=workspace.cache_dir)
    return found is not None
