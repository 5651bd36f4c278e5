"""What a process left behind becomes the measurement of its record."""

from pathlib import Path
from typing import Any

from bakeoff.base.files import read_json
from bakeoff.measure.exchange import exchange_of
from bakeoff.measure.summary import summarise
from bakeoff.measure.training import with_cost, with_flops, with_ranks
from bakeoff.predict.exchange import Exchanged, bytes_per_step
from bakeoff.runner.process_run import Outcome
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.recipe_machine import MeasureSpec
from bakeoff.schema.record import Measurement
from bakeoff.schema.results import EvalResult, TrainResult

MEASURE = "measure.json"
"""Tells the worker of a training where the speed of its device is kept, or else to be put."""

_EXCHANGE = "exchange.json"
_MATMUL = "matmul.json"
"""The worker's answer."""


def measurement_of(
    outcome: Outcome,
    result: TrainResult | EvalResult | None,
    run_dir: Path,
    spec: MeasureSpec,
    plan: TrainPlan | None = None,
) -> Measurement:
    """Of one run.

    Args:
        outcome: Of its process.
        result: None when it did not finish.
        run_dir: Its directory.
        spec: How the recipe wants it measured.
        plan: Of a training.
    """
    generated = result.num_generated_tokens if isinstance(result, EvalResult) else None
    measured = summarise(
        outcome.events, outcome.timeline, outcome.attempts, num_generated_tokens=generated
    )
    measured = with_ranks(measured, outcome.ranks)
    if plan is not None and plan.world.num_processes > 1:
        measured = _with_exchange(measured, plan, result, run_dir)
    if isinstance(result, TrainResult):
        measured = with_flops(measured, result, _matmul_flops_per_second(run_dir))
    told = {"noise": outcome.noise, "sampler_cpu_share": outcome.sampler_cpu_share}
    return with_cost(measured, spec).model_copy(update=told)


def _with_exchange(
    measured: Measurement,
    plan: TrainPlan,
    result: TrainResult | EvalResult | None,
    run_dir: Path,
) -> Measurement:
    told = run_dir / _EXCHANGE
    formula = bytes_per_step(_exchanged(plan, result)) if isinstance(result, TrainResult) else None
    exchange = exchange_of(read_json(told) if told.is_file() else None, formula)
    number = plan.world.num_processes
    return measured.model_copy(update={"exchange": exchange, "num_processes": number})


def _exchanged(plan: TrainPlan, result: TrainResult) -> Exchanged:
    """In the number formats that were really used."""
    weight = _item_bytes(result.effective.get("weight_dtype"))
    trained = _item_bytes(result.effective.get("trained_dtype"))
    frozen = result.num_total_parameters - result.num_trained_parameters
    of_trained = float(trained * result.num_trained_parameters)
    return Exchanged(
        strategy=plan.strategy,
        num_processes=plan.world.num_processes,
        num_passes=plan.train.gradient_accumulation,
        weight_bytes=weight * frozen + of_trained,
        trained_bytes=of_trained,
        gradient_bytes=of_trained,
    )


def _item_bytes(kind: Any) -> int:
    return 4 if kind == "float32" else 2


def _matmul_flops_per_second(run_dir: Path) -> float | None:
    path = run_dir / _MATMUL
    return float(read_json(path)["flops_per_second"]) if path.is_file() else None
