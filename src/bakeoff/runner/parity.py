"""Short trainings by every backend, watched from inside, and what they came to."""

import shutil
from dataclasses import replace
from pathlib import Path

from bakeoff.backends import BACKENDS
from bakeoff.backends.builtin import reference_launch
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import read_json
from bakeoff.base.hashing import short_id
from bakeoff.base.locks import locked
from bakeoff.runner.execute import Executor
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.process_run import lock_of, run_process
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.events import StepEvent
from bakeoff.schema.parity import Probe, ProbedCell, ProbedRun, Reference
from bakeoff.schema.plan import (
    AxisValue,
    EnvironmentStep,
    EvalPlan,
    Plan,
    Source,
    TrainPlan,
    run_name,
)
from bakeoff.store.runs import Store

FOLDER = "parity"
"""Below the results, but no results: nothing here is reused or reported."""


class ParityRunner:
    """Probes every training of a plan, cell by cell.

    A backend that fails in a cell is said to have failed there; the others go on.
    """

    def __init__(self, study: PreparedStudy, workspace: Workspace, observer: Observer) -> None:
        self._plan = study.plan
        self._workspace = workspace
        self._observer = observer
        self._broken: dict[str, str] = {}
        """Environments by step id, and what is wrong with them."""

        self._folder = workspace.runs_dir / FOLDER / study.plan.study
        self._executor = Executor(
            study.plan.study,
            study.base_dir,
            workspace=workspace,
            store=Store(self._folder),
            observer=observer,
        )

    def run(self) -> list[ProbedCell]:
        """What the probes of all cells saw.

        Raises:
            UserError: the model, the data or an environment cannot be had, or a training is spread
                over several processes.
            RunError: the reference cannot be computed.
        """
        _require_one_process(self._plan)
        runs: dict[str, list[tuple[TrainPlan, ProbedRun]]] = {}
        with locked(lock_of(self._folder), lambda: self._observer.note("waiting for another one")):
            # Doing a training again for its times shows nothing new.
            steps = [
                step
                for step in self._plan.steps
                if not isinstance(step, EvalPlan) and getattr(step, "turn", 1) == 1
            ]
            for index, step in enumerate(steps, start=1):
                self._observer.step_started(step, Position(index, len(steps)))
                if isinstance(step, TrainPlan):
                    run = self._probe(step)
                    runs.setdefault(short_id(_common(step)), []).append((step, run))
                    if run.error is not None:
                        self._observer.step_skipped(step, run.error.partition("\n")[0])
                        continue
                else:
                    self._bring(step)
                self._observer.step_finished(step, None, reused=False)
            return [self._cell(several) for several in runs.values()]

    def _bring(self, step: Source) -> None:
        try:
            self._executor.bring(step)
        except (UserError, RunError) as error:
            if not isinstance(step, EnvironmentStep):
                raise
            self._broken[step.id] = str(error)

    def _probe(self, step: TrainPlan) -> ProbedRun:
        broken = self._broken.get(step.environment_id or "")
        if broken is not None:
            return ProbedRun(backend=step.backend, seed=step.seed, error=broken)
        run_dir = self._fresh(run_name(step))
        backend = BACKENDS.get(step.backend)()
        inputs = replace(self._executor.inputs_of(step), probe=True)
        launch = backend.render(step, inputs, run_dir)
        outcome = run_process(
            launch,
            run_dir,
            environment=self._executor.environment_of(step),
            read_events=backend.read_events,
            on_event=lambda event: self._observer.event(step, event),
            watching=self._workspace.watching(step.device),
        )
        if outcome.status != "finished":
            error = outcome.error or outcome.status
            return ProbedRun(backend=step.backend, seed=step.seed, error=error)
        losses = (event.loss for event in outcome.events if isinstance(event, StepEvent))
        return ProbedRun(
            backend=step.backend,
            seed=step.seed,
            probe=Probe.model_validate(read_json(run_dir / "probe.json")),
            losses=tuple(loss for loss in losses if loss is not None),
            effective=backend.read_result(run_dir).effective,
        )

    def _cell(self, runs: list[tuple[TrainPlan, ProbedRun]]) -> ProbedCell:
        step = runs[0][0]
        return ProbedCell(
            cell=_common(step),
            precision=step.train.precision,
            runs=tuple(run for _, run in runs),
            reference=self._reference(step),
        )

    def _reference(self, step: TrainPlan) -> Reference:
        folder = self._fresh(f"reference-{short_id(_common(step))}")
        launch = reference_launch(step, self._executor.inputs_of(step, own_python=True))
        self._observer.note("computing the loss before the first step by a plain forward pass")
        run_worker(launch, folder, environment=self._workspace.environment)
        return Reference.model_validate(read_json(folder / "result.json"))

    def _fresh(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def _require_one_process(plan: Plan) -> None:
    """A probe sees one process: of several, only a part of each step."""
    if any(isinstance(step, TrainPlan) and step.world.num_processes > 1 for step in plan.steps):
        raise UserError(
            "the trainers are compared with one process each; the recipe spreads a training over "
            "several",
            hint="--set strategy=single --set world_size=1",
        )


def _common(step: TrainPlan) -> dict[str, AxisValue]:
    """What the runs of one cell share."""
    return {name: value for name, value in step.axes.items() if name not in ("backend", "seed")}
