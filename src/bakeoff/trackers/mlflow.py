"""MLflow: an experiment a study, in a SQLite file unless MLFLOW_TRACKING_URI names a server."""

import importlib.metadata
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.base.credentials import without_secrets
from bakeoff.interfaces import Point, RunEnd, TrackedRun

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
_MOST_METRICS = 1000
_MOST_PARAMETERS = 100
"""That the server takes in one request."""

_LONGEST_VALUE = 500
_LONGEST_DIGEST = 36
_RUN_ID = "bakeoff.run_id"


class MlflowTracker:
    requirements: ClassVar[tuple[str, ...]] = ("mlflow-skinny>=3",)
    is_parallel: ClassVar[bool] = True

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def variables(self) -> Mapping[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self._uri(),
            # One warning comes sooner than the minutes of retries that a server's absence takes.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        }

    def address(self) -> str:
        return without_secrets(self._uri())

    def look(self) -> str:
        uri = self._environment.get("MLFLOW_TRACKING_URI")
        if uri is not None and uri.startswith(("http://", "https://")):
            return without_secrets(uri)
        return f'{_ui_command()} --backend-store-uri "{self.address()}"'

    def open(self, run: TrackedRun, known: str | None) -> "_Run":
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._uri())
        experiment = self._experiment(client, run.study)
        found = _found(client, experiment, run.run_id, known)
        parent = run.parent_run_id and _by_run_id(client, experiment, run.parent_run_id)
        if found is None:
            made = _created(client, experiment, run, parent)
            return _Run(client, made, parent, is_new=True)
        client.update_run(found, status="RUNNING")
        return _Run(client, found, parent, is_new=False)

    def _uri(self) -> str:
        return self._environment.get("MLFLOW_TRACKING_URI") or self._own_uri()

    def _own_uri(self) -> str:
        return f"sqlite:///{(self._folder / 'mlflow.db').as_posix()}"

    def _experiment(self, client: Any, study: str) -> str:
        name = self._environment.get("MLFLOW_EXPERIMENT_NAME") or study
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if found is not None:
            return str(found.experiment_id)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Without a place, files would go beside whatever folder this process works in.
        is_own = self._uri() == self._own_uri()
        place = (self._folder / "artifacts" / name).as_uri() if is_own else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the page that suits it
        return str(client.create_experiment(name, artifact_location=place, tags=kind))


class _Run:
    def __init__(self, client: Any, run_id: str, parent: str | None, *, is_new: bool) -> None:
        self._client = client
        self._parent = parent
        self.id = run_id
        self.is_new = is_new

    def log(self, points: Sequence[Point]) -> None:
        self._log_to(self.id, points)

    def _log_to(self, run_id: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(_key(point.series), point.value, round(1000 * point.at), point.step)
            for point in points
        ]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])

    def end(self, end: RunEnd) -> None:
        figures = [
            Point(series=name, step=0, value=value, at=end.at)
            for name, value in sorted(end.figures.items())
        ]
        self.log(figures)
        if self._parent:
            # So that one row of the list holds what a training cost and what it gained.
            scores = [figure for figure in figures if figure.series.startswith("score/")]
            self._log_to(self._parent, scores)
        _set(self._client, self.id, end.settings, end.tags)
        if end.error:
            self._client.set_tag(self.id, "bakeoff.error", end.error[:5000])
        self._log_data(end.tags)
        for path in end.files:
            self._client.log_artifact(self.id, str(path))
        self._client.set_terminated(self.id, _STATUS[end.status], end_time=round(1000 * end.at))

    def _log_data(self, tags: Mapping[str, str]) -> None:
        """What the page shows as the run's dataset."""
        from mlflow.entities import Dataset, DatasetInput

        source, digest = tags.get("data"), tags.get("data_digest")
        if source and digest:
            data = Dataset(Path(source).name, digest[:_LONGEST_DIGEST], "local", source)
            self._client.log_inputs(self.id, datasets=[DatasetInput(data)])


def _found(client: Any, experiment: str, run_id: str, known: str | None) -> str | None:
    """The run that was sent before, if it was not deleted since."""
    if known is None:
        return None
    return _by_run_id(client, experiment, run_id)


def _by_run_id(client: Any, experiment: str, run_id: str) -> str | None:
    found = client.search_runs([experiment], f"tags.`{_RUN_ID}` = '{run_id}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _created(client: Any, experiment: str, run: TrackedRun, parent: str | None) -> str:
    tags = {_RUN_ID: run.run_id, "mlflow.source.name": "bakeoff", "mlflow.source.type": "JOB"}
    if parent:
        tags["mlflow.parentRunId"] = parent
    made = client.create_run(
        experiment, start_time=round(1000 * run.began_at), run_name=run.name, tags=tags
    )
    _set(client, made.info.run_id, run.settings, run.tags)
    return str(made.info.run_id)


def _set(client: Any, run_id: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    there = client.get_run(run_id).data.params
    # A parameter cannot be given a second value.
    parameters = [Param(key, text) for key, text in _texts(settings) if key not in there]
    for start in range(0, len(parameters), _MOST_PARAMETERS):
        client.log_batch(run_id, params=parameters[start : start + _MOST_PARAMETERS])
    client.log_batch(run_id, tags=[RunTag(f"bakeoff.{key}", text) for key, text in tags.items()])


def _texts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        yield _key(key), str(value)[:_LONGEST_VALUE]


def _key(name: str) -> str:
    return re.sub(r"[^\w\-./ ]", "_", name)


def _ui_command() -> str:
    """`mlflow-skinny` has no page: uv fetches all of MLflow for it, in the same version."""
    try:
        importlib.metadata.version("mlflow")
    except importlib.metadata.PackageNotFoundError:
        return f"uvx mlflow@{importlib.metadata.version('mlflow-skinny')} ui"
    return "mlflow ui"
