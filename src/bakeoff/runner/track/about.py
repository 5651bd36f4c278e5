"""A plan and a record, in the words of a tracker."""

import calendar
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bakeoff.interfaces import RunEnd, TrackedRun
from bakeoff.runner.step_names import describe
from bakeoff.runner.track.points import GIB
from bakeoff.schema.figures import peak_memory
from bakeoff.schema.plan import AxisValue, DataStep, EvalPlan, ModelStep, Plan, TrainPlan, run_name
from bakeoff.schema.record import Measurement, Record, Score
from bakeoff.store.runs import RECORD

_NOT_SETTINGS = frozenset(
    {"kind", "id", "model_id", "data_id", "environment_id", "train_id", "axes", "repeats"}
)
_FIGURES = (
    "wall_seconds",
    "setup_seconds",
    "train_seconds",
    "evaluate_seconds",
    "num_steps",
    "num_tokens",
    "tokens_per_second",
    "steady_tokens_per_second",
    "mfu",
    "energy_joules",
    "cost",
)
_SIZES = (
    "peak_host_bytes",
    "added_host_bytes",
    "peak_device_process_bytes",
    "peak_device_allocated_bytes",
    "peak_device_reserved_bytes",
)


def tracked_run(step: TrainPlan | EvalPlan, plan: Plan, began_at: float) -> TrackedRun:
    """What is known of a run before it begins."""
    settings = dict(_flat(step.model_dump(mode="json", exclude=set(_NOT_SETTINGS))))
    parent = None if isinstance(step, TrainPlan) else step.train_id
    trained = [s for s in plan.runs if isinstance(s, TrainPlan) and s.id == parent]
    tags: dict[str, Any] = {
        "study": plan.study,
        "kind": step.kind,
        "content_id": step.id,
        "backend": step.axes.get("backend"),
        "method": step.axes.get("method"),
        **dict(_sources(step, plan)),
        "parent_run": run_name(trained[0]) if trained else None,
    }
    return TrackedRun(
        study=plan.study,
        run_id=run_name(step),
        name=describe(step, plan.axes),
        kind=step.kind,
        began_at=began_at,
        settings={**settings, **step.axes},
        tags={name: str(value) for name, value in tags.items() if value is not None},
        parent_run_id=tags["parent_run"],
    )


def run_end(record: Record, run: TrackedRun, run_dir: Path) -> RunEnd:
    """What a run came to."""
    made = record.provenance
    tags = {
        "status": record.status,
        "data": run.tags.get("data"),
        "model_revision": made.model_revision,
        "model_digest": made.model_digest,
        "data_digest": made.data_digest,
        "bakeoff_version": made.bakeoff_version,
        "git_commit": made.git_commit,
        "packages_digest": made.lock_digest,
    }
    return RunEnd(
        status="finished" if record.status == "finished" else "failed",
        at=_seconds(made.ended_at),
        error=record.error,
        figures=dict(_figures(record)),
        settings=dict(_effective(record, run)),
        tags={name: str(value) for name, value in tags.items() if value is not None},
        files=[run_dir / RECORD],
    )


def _effective(record: Record, run: TrackedRun) -> Iterator[tuple[str, AxisValue]]:
    """What was decided only in the run; what was asked for is told already.

    What is nested (a task's whole configuration, say) is left to the record.
    """
    asked = {(name.replace(".", "_"), value) for name, value in run.settings.items()}
    asked |= {(name.rpartition(".")[2], value) for name, value in run.settings.items()}
    plain = {k: v for k, v in record.effective.items() if not isinstance(v, Mapping)}
    for name, value in _flat(plain):
        if (name, value) not in asked:
            yield f"effective.{name}", value


def _figures(record: Record) -> Iterator[tuple[str, float]]:
    if record.measurement is not None:
        yield from _costs(record.measurement)
    for split in ("train", "validation"):
        losses = [p.loss for p in record.losses if p.split == split and p.loss is not None]
        if losses:
            yield f"result/{split}_loss", losses[-1]
    for score in record.scores:
        yield f"score/{_name(score)}", score.value
        if score.stderr is not None and math.isfinite(score.stderr):
            yield f"score/{_name(score)} stderr", score.stderr


def _costs(measured: Measurement) -> Iterator[tuple[str, float]]:
    for name in _FIGURES:
        value = getattr(measured, name)
        if value is not None:
            yield f"result/{name}", value
    for name in _SIZES:
        value = getattr(measured, name)
        if value is not None:
            yield f"result/{name.removesuffix('bytes')}gib", value / GIB
    peak, _ = peak_memory(measured)
    if peak is not None:
        yield "result/peak_memory_gib", peak / GIB


def _name(score: Score) -> str:
    return f"{score.task} {score.num_fewshot}-shot/{score.metric} {score.filter}"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, AxisValue]]:
    """`train.learning_rate: 0.001`; a list is one value, what is None says nothing."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield name, ", ".join(map(str, value))
        elif value is not None:
            yield name, value


def _sources(run: TrainPlan | EvalPlan, plan: Plan) -> Iterator[tuple[str, str]]:
    for step in plan.steps:
        if isinstance(step, ModelStep) and step.id == run.model_id:
            yield "model", step.model.title
        elif isinstance(step, DataStep) and step.id == run.data_id:
            yield "data", step.data.source


def _seconds(iso: str) -> float:
    return float(calendar.timegm(time.strptime(iso, "%Y-%m-%dT%H:%M:%SZ")))
