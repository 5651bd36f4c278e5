"""Studies on a Ray cluster: one task for each training with its evaluations, side by side.

Ray decides where a task runs, starts it again when its process or machine is lost, and frees its
resources; this module cuts a plan into tasks and puts the results into the one store. A task runs
in the driver's runs folder where its machine shares it, else its folders are sent back.
"""

import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import write_text_atomic
from bakeoff.base.locks import locked
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.process_run import lock_of
from bakeoff.runner.ray_task import Done, Part, do_part, unpack
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, Plan, Step, TrainPlan, run_name
from bakeoff.schema.recipe_machine import RaySpec
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store

_WAIT_SECONDS = 1.0


def import_ray() -> Any:
    """Ray itself.

    Raises:
        UserError: It is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - an optional extra, and slow
    except ImportError as error:
        raise UserError(
            "`execution: ray` needs Ray, which is not installed here",
            hint="pip install 'bakeoff[ray]' (or `pip install ray`), on every machine of the "
            "cluster",
        ) from error
    return ray


@contextmanager
def connected(spec: RaySpec) -> Iterator[Any]:
    """Ray, connected to the cluster as long as the block lasts.

    Raises:
        UserError: There is no such cluster, or Ray is not installed.
    """
    ray = import_ray()
    try:
        ray.init(
            address=spec.address,
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster at `{spec.address}`: {str(error).splitlines()[0]}",
            hint="`ray start --head` on one machine, `ray start --address=HOST:6379` on the others",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def parts_of(plan: Plan) -> list[Plan]:
    """Cut a plan into what can be done apart: each training with its repeats and evaluations.

    Every part holds the sources that it needs, which a machine brings for itself where it does not
    find them; evaluations of untouched models are parts of their own.
    """
    groups: dict[str, list[TrainPlan | EvalPlan]] = {}
    for step in plan.runs:
        first = step.repeats if isinstance(step, TrainPlan) else step.train_id
        groups.setdefault(first or step.id, []).append(step)
    return [
        plan.model_copy(update={"steps": (*_sources_of(plan, group), *group)})
        for group in groups.values()
    ]


def _sources_of(plan: Plan, runs: Sequence[TrainPlan | EvalPlan]) -> list[Step]:
    needed: set[str | None] = set()
    for step in runs:
        needed |= {step.model_id, step.data_id, step.environment_id}
    return [
        step
        for step in plan.steps
        if not isinstance(step, TrainPlan | EvalPlan) and step.id in needed
    ]


class RayStudyRunner:
    """One study on one cluster; the counterpart of ``StudyRunner``."""

    def __init__(
        self,
        study: PreparedStudy,
        workspace: Workspace,
        observer: Observer,
        *,
        spec: RaySpec,
        force: bool = False,
    ) -> None:
        self._study = study
        self._workspace = workspace
        self._observer = observer
        self._spec = spec
        self._force = force
        self._store = Store(workspace.runs_dir)

    def run(self) -> StudyOutcome:
        """Do every step; a run that fails is recorded, and the rest goes on.

        Raises:
            UserError: There is no cluster, or the model or the data cannot be had.
        """
        name = self._study.plan.study
        with locked(
            lock_of(self._store.study_dir(name)),
            lambda: self._observer.note(f"another bakeoff is running `{name}`; waiting"),
        ):
            StudyRunner(self._study, self._workspace, self._observer).save_study()
            with connected(self._spec) as ray:
                return self._run_parts(ray)

    def _run_parts(self, ray: Any) -> StudyOutcome:
        parts = parts_of(self._study.plan)
        outcome = StudyOutcome()
        with token_in(self._workspace.runs_dir) as (token, token_path):
            waiting = {}
            for plan in parts:
                part = Part(
                    study=replace(self._study, plan=plan),
                    workspace=self._workspace,
                    force=self._force,
                    token=token,
                    token_path=token_path,
                )
                waiting[submit(ray, part, self._spec)] = plan
            self._observer.note(f"{len(parts)} tasks were given to the cluster")
            while waiting:
                ready, _ = ray.wait(list(waiting), timeout=_WAIT_SECONDS)
                for reference in ready:
                    self._collect(ray, reference, waiting.pop(reference), outcome)
        return _in_order(outcome, self._study.plan)

    def _collect(self, ray: Any, reference: Any, plan: Plan, outcome: StudyOutcome) -> None:
        total = len(self._study.plan.steps)
        try:
            done = result_of(ray, reference)
        except RunError as error:
            for step in plan.runs:
                outcome.skipped[run_name(step)] = str(error)
                self._observer.step_skipped(step, str(error))
            return
        collect(done, self._store)
        records = {record.run_id: record for record in done.outcome.records}
        for step in plan.runs:
            record = records.get(run_name(step))
            self._tell(step, record, done, Position(len(outcome.records) + 1, total))
            if record is not None:
                outcome.records.append(record)
        outcome.num_run += done.outcome.num_run
        outcome.num_reused += done.outcome.num_reused
        outcome.skipped |= done.outcome.skipped

    def _tell(
        self, step: TrainPlan | EvalPlan, record: Record | None, done: Done, position: Position
    ) -> None:
        self._observer.step_started(step, position)
        if record is None:
            self._observer.step_skipped(step, done.outcome.skipped.get(run_name(step), "not run"))
            return
        self._observer.step_finished(step, record, reused=done.outcome.num_run == 0)


def submit(ray: Any, part: Part, spec: RaySpec) -> Any:
    """Give a part to the cluster, with what it needs."""
    task = ray.remote(do_part).options(
        name=f"bakeoff {part.study.plan.study}",
        num_cpus=spec.cpus_per_run,
        num_gpus=gpus_needed(part.study.plan, spec),
        memory=None if spec.memory_gb_per_run is None else int(spec.memory_gb_per_run * 1e9),
        resources=spec.resources or None,
        scheduling_strategy="SPREAD" if spec.spread else "DEFAULT",
        max_retries=spec.retries,
        retry_exceptions=False,  # a run that fails is a result; only what is lost is tried again
    )
    return task.remote(part)


def result_of(ray: Any, reference: Any) -> Done:
    """What a task sent back.

    Raises:
        UserError: The model or the data cannot be had there.
        RunError: Its machine or process was lost more often than it is tried again.
    """
    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.as_instanceof_cause()
        if isinstance(cause, UserError):
            raise UserError(str(cause), hint=cause.hint) from error
        raise
    except ray.exceptions.RayError as error:
        reason = f"its machine was lost too often: {str(error).splitlines()[0]}"
        raise RunError(reason, log_tail="") from error
    return done


def gpus_needed(plan: Plan, spec: RaySpec) -> float:
    """As the recipe says, else one for each device of a training that does not ask for the CPU."""
    if spec.gpus_per_run is not None:
        return spec.gpus_per_run
    if all(step.device == "cpu" for step in plan.runs):
        return 0
    worlds = [step.world.num_processes for step in plan.runs if isinstance(step, TrainPlan)]
    return max(worlds, default=1)


def collect(done: Done, store: Store) -> None:
    """Put the folders of a worker that shares none into the store."""
    for run_id, content in done.folders.items():
        unpack(content, store.run_dir(run_id))
    store.sync()


@contextmanager
def token_in(runs_dir: Path) -> Iterator[tuple[str, Path]]:
    """A file by which a worker sees that it looks into the same folder."""
    token = secrets.token_hex(8)
    path = (runs_dir / f".cluster-{uuid.uuid4().hex[:8]}").resolve()
    write_text_atomic(path, token)
    try:
        yield token, path
    finally:
        path.unlink(missing_ok=True)


def _in_order(outcome: StudyOutcome, plan: Plan) -> StudyOutcome:
    places = {run_name(step): place for place, step in enumerate(plan.runs)}
    outcome.records.sort(key=lambda record: places[record.run_id])
    return outcome
