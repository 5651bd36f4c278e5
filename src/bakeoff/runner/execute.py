"""Does one step: sources are brought to disk, runs become records."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bakeoff import data, models
from bakeoff.backends import BACKENDS
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.base.locks import locked
from bakeoff.base.process import now_utc
from bakeoff.envs.child import isolated
from bakeoff.evals import ENGINES
from bakeoff.interfaces import Backend, EvalEngine, Inputs
from bakeoff.measure.page_cache import cached_share_of_model
from bakeoff.runner.distribution import distribution_of
from bakeoff.runner.environments import bring_environment
from bakeoff.runner.join import offer_to_machines
from bakeoff.runner.measurements import MEASURE, measurement_of
from bakeoff.runner.observer import Observer
from bakeoff.runner.process_run import lock_of, run_process
from bakeoff.runner.provenance import make_provenance
from bakeoff.runner.records import Done, eval_record, train_record
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.plan import (
    DataStep,
    EnvironmentStep,
    EvalPlan,
    ModelStep,
    Source,
    TrainPlan,
    run_name,
)
from bakeoff.schema.record import Record
from bakeoff.schema.results import (
    DataManifest,
    EvalResult,
    ModelManifest,
    RunEnvironment,
    TrainResult,
)
from bakeoff.store.runs import Store

_OF_A_DISTRIBUTED_JOB = frozenset(
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
)


WhyEnd = Callable[[TrainPlan | EvalPlan], str | None]
"""Asked again and again while a run goes on: why it is to be ended now, if it is."""


@dataclass(frozen=True)
class _PreparedData:
    folder: Path
    manifest: DataManifest


class Executor:
    """Knows where the sources of one study lie once its first steps are done."""

    def __init__(
        self,
        study: str,
        base_dir: Path,
        *,
        workspace: Workspace,
        store: Store,
        observer: Observer,
        why_end: WhyEnd = lambda _: None,
    ) -> None:
        self._study = study
        self._base_dir = base_dir
        self._workspace = workspace
        self._store = store
        self._observer = observer
        self._why_end = why_end
        self._hub = replace(workspace.hub, say=observer.note)
        self._models: dict[str, tuple[Path, ModelManifest]] = {}
        self._data: dict[str, _PreparedData] = {}
        self._pythons: dict[str, Path] = {}

    def fetch_model(self, step: ModelStep) -> None:
        self._models[step.id] = models.fetch(
            step.model,
            base_dir=self._base_dir,
            cache_dir=self._workspace.cache_dir,
            hub=self._hub,
            run_worker=partial(run_worker, environment=self._workspace.environment),
            progress=self._progress_of(step),
        )

    def prepare_data(self, step: DataStep) -> None:
        folder = self._workspace.data_dir(step.id)
        manifest_path = folder / "manifest.json"
        with locked(lock_of(folder), lambda: self._observer.note("waiting for the data")):
            if not manifest_path.is_file():
                data.prepare(
                    step.data,
                    step.prompt,
                    base_dir=self._base_dir,
                    cache_dir=self._workspace.cache_dir,
                    output_dir=folder,
                    chat=self._chat_template_of(step),
                    hub=self._hub,
                    progress=self._progress_of(step),
                )
        manifest = DataManifest.model_validate(read_json(manifest_path))
        self._data[step.id] = _PreparedData(folder, manifest)

    def use_data(self, data_id: str, folder: Path) -> None:
        """Rows that no step of the plan prepares: ``folder`` holds them and their manifest."""
        manifest = DataManifest.model_validate(read_json(folder / "manifest.json"))
        self._data[data_id] = _PreparedData(folder, manifest)

    def model_dir(self, model_id: str) -> Path:
        """Of a model that was brought."""
        return self._models[model_id][0]

    def _chat_template_of(self, step: DataStep) -> ChatTemplate | None:
        if step.model_id is None:
            return None
        return models.read_chat_template(self._models[step.model_id][0])

    def bring(self, step: Source) -> None:
        """Bring to disk what runs need.

        Raises:
            UserError: It cannot be had.
            RunError: A process that makes it failed.
        """
        if isinstance(step, ModelStep):
            self.fetch_model(step)
        elif isinstance(step, DataStep):
            self.prepare_data(step)
        else:
            self.install_environment(step)

    def install_environment(self, step: EnvironmentStep) -> None:
        self._pythons[step.id] = bring_environment(
            step,
            cache_dir=self._workspace.cache_dir,
            base_dir=self._base_dir,
            variables=self._workspace.installing_environment,
            report=lambda news: self._observer.progress(step, 0, 0, news),
        )

    def inputs_of(self, step: TrainPlan, *, own_python: bool = False) -> Inputs:
        """Where a training finds what earlier steps brought.

        Args:
            step: The training.
            own_python: Whether the interpreter is that of bakeoff's own jobs, whatever the backend.
        """
        inputs = replace(
            self._inputs(step.model_id, self._data[step.data_id]),
            distribution=distribution_of(step),
        )
        if step.environment_id is None or own_python:
            return inputs
        return replace(inputs, python=self._pythons[step.environment_id])

    def train(self, step: TrainPlan) -> Record:
        prepared = self._data[step.data_id]
        backend = BACKENDS.get(step.backend)()
        done = self._do(step, backend, self.inputs_of(step), prepared)
        if step.turn > 1 and isinstance(done.result, TrainResult):
            artefact = self._store.run_dir(run_name(step)) / done.result.artefact
            shutil.rmtree(artefact, ignore_errors=True)
        return train_record(step, self._study, done, data=prepared.manifest)

    def evaluate(self, step: EvalPlan, training: TrainPlan | None) -> Record:
        """Score the model that ``training`` made, or the untouched one."""
        prepared = self._data[step.data_id] if step.data_id is not None else None
        engine = ENGINES.get(step.engine)()
        artefact = Path(step.adapter) if step.adapter is not None else None
        if training is not None:
            artefact = self._artefact_of(training)
        inputs = self._inputs(step.model_id, prepared, artefact)
        inputs = replace(inputs, trained_rows=self._rows_of(training))
        if step.environment_id is not None:
            inputs = replace(inputs, python=self._pythons[step.environment_id])
        return eval_record(
            step,
            self._study,
            self._do(step, engine, inputs, prepared),
            data=prepared.manifest if prepared is not None else None,
            parent_run_id=run_name(training) if training is not None else None,
        )

    def _do(
        self,
        step: TrainPlan | EvalPlan,
        translator: Backend | EvalEngine,
        inputs: Inputs,
        prepared: _PreparedData | None,
    ) -> Done:
        run_dir = self._store.run_dir(run_name(step))
        write_json_atomic(run_dir / "plan.json", step.model_dump(mode="json"))
        launch = translator.render(step, inputs, run_dir)  # type: ignore[arg-type]
        started_at, cached = now_utc(), cached_share_of_model(inputs.model_dir)
        if isinstance(step, TrainPlan):
            calibration_dir = (self._workspace.cache_dir / "matmul").resolve()
            write_json_atomic(run_dir / MEASURE, {"calibration_dir": str(calibration_dir)})
        if isinstance(step, TrainPlan) and step.world.num_nodes > 1:
            self._observer.note(offer_to_machines(launch, run_dir, self._workspace))
        outcome = run_process(
            launch,
            run_dir,
            environment=self.environment_of(step),
            read_events=translator.read_events,
            on_event=lambda event: self._observer.event(step, event),
            watching=replace(
                self._workspace.watching(step.device), why_end=lambda: self._why_end(step)
            ),
        )
        result = translator.read_result(run_dir) if outcome.status == "finished" else None
        plan = step if isinstance(step, TrainPlan) else None
        measured = measurement_of(outcome, result, run_dir, self._workspace.measure, plan)
        provenance = make_provenance(
            self._workspace,
            launch=launch,
            period=(started_at, now_utc()),
            model=self._models[step.model_id][1],
            data=prepared.manifest if prepared is not None else None,
            surroundings=_surroundings(run_dir, result),
        )
        measured = measured.model_copy(update={"model_cached_share": cached})
        return Done(outcome, measured, result, provenance)

    def environment_of(self, step: TrainPlan | EvalPlan) -> Mapping[str, str]:
        """What the process inherits.

        Another interpreter must not find the packages of this one, and no trainer may take itself
        for a part of a job on several devices that bakeoff itself was started in.
        """
        inherited = {
            name: text
            for name, text in self._workspace.environment.items()
            if name not in _OF_A_DISTRIBUTED_JOB
        }
        inherited |= self._workspace.exchange_environment
        return inherited if step.environment_id is None else isolated(inherited)

    def _inputs(
        self, model_id: str, data: _PreparedData | None, artefact_dir: Path | None = None
    ) -> Inputs:
        # A task of the harness brings its own data; nothing is read from the folder then.
        folder = data.folder if data is not None else self._workspace.cache_dir
        return Inputs(
            python=self._workspace.python,
            model_dir=self._models[model_id][0].resolve(),
            data_dir=folder.resolve(),
            has_validation=data is not None and bool(data.manifest.num_rows.get("validation")),
            artefact_dir=artefact_dir.resolve() if artefact_dir is not None else None,
        )

    def _rows_of(self, training: TrainPlan | None) -> Path | None:
        """What a model was trained on, where that is still on disk."""
        if training is None:
            return None
        rows = (self._workspace.data_dir(training.data_id) / "train.jsonl").resolve()
        return rows if rows.is_file() else None

    def _artefact_of(self, training: TrainPlan) -> Path:
        run_dir = self._store.run_dir(run_name(training))
        backend = BACKENDS.get(training.backend)()
        return run_dir / backend.read_result(run_dir).artefact

    def _progress_of(self, step: Source) -> Callable[[int, int, str], None]:
        return lambda done, total, what: self._observer.progress(step, done, total, what)


def _surroundings(run_dir: Path, result: TrainResult | EvalResult | None) -> RunEnvironment:
    """Of a run that died, what its worker noted first; nothing if it died before that."""
    if result is not None:
        return RunEnvironment(packages=result.packages, hardware=result.hardware)
    noted = run_dir / "environment.json"
    return RunEnvironment.model_validate(read_json(noted)) if noted.is_file() else RunEnvironment()
