"""Studies on a cluster: one task for each training with its evaluations, side by side.

The cluster (Ray, SLURM) decides where a task runs, starts it again when its machine is lost, and
frees its resources; this module cuts a plan into tasks and puts the results into the one store. A
task runs in the driver's runs folder where its machine shares it, else its folders are sent back.
"""

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bakeoff.base.errors import RunError
from bakeoff.base.files import write_text_atomic
from bakeoff.base.locks import locked
from bakeoff.runner.cluster_task import Done, Part, unpack
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.process_run import lock_of
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.track.reporters import Reporters
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, Plan, Step, TrainPlan, run_name
from bakeoff.schema.recipe_machine import ClusterSpec, SlurmSpec
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store

_WAIT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One that a cluster let a function look at."""

    node: str
    """What the cluster calls it."""

    found: dict[str, Any] | str
    """What the function returned; a text: why it did not."""


class Cluster(Protocol):
    """Does parts of studies elsewhere; may be used from several threads at once."""

    def submit(self, part: Part) -> Any:
        """Give a part to the cluster, with what it needs; returns by what it is asked for."""
        ...

    def is_done(self, job: Any) -> bool: ...

    def result_of(self, job: Any) -> Done:
        """What a task that is done sent back.

        Raises:
            UserError: The model or the data cannot be had there.
            RunError: Its machine or process was lost more often than it is tried again.
        """
        ...

    def look(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> list[Machine]:
        """Run a small function on the cluster's machines."""
        ...


def connected(spec: ClusterSpec, runs_dir: Path) -> AbstractContextManager[Cluster]:
    """The cluster as long as the block lasts; what is not done then is given up.

    Raises:
        UserError: There is no such cluster, or what speaks to it is not installed.
    """
    if isinstance(spec, SlurmSpec):
        from bakeoff.runner.on_slurm import slurm  # noqa: PLC0415 - needed there only

        return slurm(spec, runs_dir)
    from bakeoff.runner.on_ray import ray_cluster  # noqa: PLC0415 - needed there only

    return ray_cluster(spec)


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


class ClusterStudyRunner:
    """One study on one cluster; the counterpart of ``StudyRunner``."""

    def __init__(
        self,
        study: PreparedStudy,
        workspace: Workspace,
        observer: Observer,
        *,
        spec: ClusterSpec,
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
            reporters = Reporters(name, self._workspace, self._observer)
            with connected(self._spec, self._workspace.runs_dir) as cluster, reporters:
                return self._run_parts(cluster)

    def _run_parts(self, cluster: Cluster) -> StudyOutcome:
        parts = parts_of(self._study.plan)
        outcome = StudyOutcome()
        with token_in(self._workspace.runs_dir) as (token, token_path):
            waiting: list[tuple[Any, Plan]] = []
            for plan in parts:
                part = Part(
                    study=replace(self._study, plan=plan),
                    workspace=self._workspace,
                    force=self._force,
                    token=token,
                    token_path=token_path,
                )
                waiting.append((cluster.submit(part), plan))
            self._observer.note(f"{len(parts)} tasks were given to the cluster")
            while waiting:
                ready = [(job, plan) for job, plan in waiting if cluster.is_done(job)]
                waiting = [pair for pair in waiting if pair not in ready]
                for job, plan in ready:
                    self._collect(cluster, job, plan, outcome)
                if not ready:
                    time.sleep(_WAIT_SECONDS)
        return _in_order(outcome, self._study.plan)

    def _collect(self, cluster: Cluster, job: Any, plan: Plan, outcome: StudyOutcome) -> None:
        total = len(self._study.plan.steps)
        try:
            done = cluster.result_of(job)
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


def gpus_needed(plan: Plan) -> int:
    """On a machine: one for each process there, of runs that do not ask for the CPU."""
    if all(step.device == "cpu" for step in plan.runs):
        return 0
    return max(
        (
            step.world.devices_per_node if isinstance(step, TrainPlan) else step.world_size
            for step in plan.runs
        ),
        default=1,
    )


def machines_needed(plan: Plan) -> int:
    """So many do one of its trainings together."""
    nodes = (step.world.num_nodes for step in plan.runs if isinstance(step, TrainPlan))
    return max(nodes, default=1)


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
