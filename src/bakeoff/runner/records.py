"""What a process left behind becomes its record."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.measure.noise import noise_warnings
from bakeoff.measure.steps import last_by_step, steps_done
from bakeoff.runner.process_run import Outcome
from bakeoff.schema.events import (
    AnswersEvent,
    Event,
    ValidationEvent,
    WarningEvent,
)
from bakeoff.schema.plan import EvalPlan, TrainPlan, first_of, run_name
from bakeoff.schema.record import (
    AnswersPoint,
    DataFacts,
    LossPoint,
    Measurement,
    Provenance,
    Record,
)
from bakeoff.schema.results import DataManifest, EvalResult, TrainResult


@dataclass(frozen=True)
class Done:
    """All that one run came to."""

    outcome: Outcome
    measured: Measurement
    result: TrainResult | EvalResult | None
    """None when it did not finish."""

    provenance: Provenance


def train_record(plan: TrainPlan, study: str, done: Done, *, data: DataManifest) -> Record:
    """The record of one training."""
    outcome = done.outcome
    result = done.result if isinstance(done.result, TrainResult) else None
    losses = tuple(_losses(outcome.events))
    return Record(
        run_id=run_name(plan),
        study=study,
        kind="train",
        status=outcome.status,
        cell=plan.axes,
        effective=_effective(plan, result),
        data=_train_facts(data, result),
        measurement=done.measured,
        losses=losses,
        answers=tuple(_answers(outcome.events)),
        provenance=done.provenance,
        warnings=(*_warnings(done), *_divergence(losses)),
        error=outcome.error,
        repeat_of=None if plan.repeats is None else run_name(first_of(plan)),
        turn=plan.turn,
    )


def eval_record(
    plan: EvalPlan,
    study: str,
    done: Done,
    *,
    data: DataManifest | None,
    parent_run_id: str | None,
) -> Record:
    """The record of one evaluation."""
    outcome = done.outcome
    result = done.result if isinstance(done.result, EvalResult) else None
    return Record(
        run_id=run_name(plan),
        study=study,
        kind="eval",
        status=outcome.status,
        cell=plan.axes,
        effective=result.effective if result is not None else _asked(plan),
        data=_eval_facts(data, plan),
        measurement=done.measured,
        scores=result.scores if result is not None else (),
        provenance=done.provenance,
        warnings=_warnings(done),
        error=outcome.error,
        parent_run_id=parent_run_id,
    )


def _effective(plan: TrainPlan, result: TrainResult | None) -> dict[str, Any]:
    if result is None:
        return _asked(plan)
    return {
        **result.effective,
        "num_total_parameters": result.num_total_parameters,
        "num_trained_parameters": result.num_trained_parameters,
        "batch_digest": result.batch_digest,
    }


def _asked(plan: TrainPlan | EvalPlan) -> dict[str, Any]:
    """Of a run that died before it could say what it used."""
    return {"asked": plan.model_dump(mode="json", exclude={"axes"})}


def _train_facts(data: DataManifest, result: TrainResult | None) -> DataFacts:
    return DataFacts(
        digest=data.digest,
        num_examples=result.num_examples if result else data.num_rows["train"],
        num_train_tokens=result.num_train_tokens if result else None,
        num_label_tokens=result.num_label_tokens if result else None,
        num_truncated=result.num_truncated if result else None,
        num_dropped=result.num_dropped if result else None,
        num_overlapping=data.num_overlapping,
    )


def _eval_facts(data: DataManifest | None, plan: EvalPlan) -> DataFacts | None:
    if data is None:
        return None
    return DataFacts(
        digest=data.digest,
        num_examples=data.num_rows[plan.split],
        num_overlapping=data.num_overlapping,
    )


def _losses(events: Sequence[Event]) -> Iterator[LossPoint]:
    for step in steps_done(events):
        yield LossPoint(
            step=step.step,
            loss=_finite(step.loss),
            learning_rate=step.learning_rate,
            grad_norm=_finite(step.grad_norm),
        )
    for validation in last_by_step(events, ValidationEvent):
        yield LossPoint(step=validation.step, loss=_finite(validation.loss), split="validation")


def _answers(events: Iterable[Event]) -> Iterator[AnswersPoint]:
    for found in last_by_step(events, AnswersEvent):
        yield AnswersPoint.model_validate(found.model_dump(exclude={"kind", "at"}))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _warnings(done: Done) -> tuple[str, ...]:
    """What the worker told, and what disturbed its times."""
    told = [event.text for event in done.outcome.events if isinstance(event, WarningEvent)]
    return tuple(
        dict.fromkeys([*told, *noise_warnings(done.outcome.noise, done.measured.wall_seconds)])
    )


def _divergence(losses: Iterable[LossPoint]) -> tuple[str, ...]:
    lost = [point.step for point in losses if point.loss is None and point.split == "train"]
    if not lost:
        return ()
    return (
        f"the training loss was not a finite number at step {lost[0]} "
        f"({len(lost)} steps in all); a lower learning rate usually mends that",
    )
