"""What a process left behind becomes the measurement of its record."""

from pathlib import Path

from bakeoff.base.files import read_json
from bakeoff.measure.summary import summarise
from bakeoff.measure.training import with_cost, with_flops, with_ranks
from bakeoff.runner.process_run import Outcome
from bakeoff.schema.recipe_machine import MeasureSpec
from bakeoff.schema.record import Measurement
from bakeoff.schema.results import EvalResult, TrainResult

MEASURE = "measure.json"
"""Tells the worker of a training where the speed of its device is kept, or else to be put."""

_MATMUL = "matmul.json"
"""The worker's answer."""


def measurement_of(
    outcome: Outcome, result: TrainResult | EvalResult | None, run_dir: Path, spec: MeasureSpec
) -> Measurement:
    """Of one run; ``result`` is None when it did not finish."""
    generated = result.num_generated_tokens if isinstance(result, EvalResult) else None
    measured = summarise(
        outcome.events, outcome.timeline, outcome.attempts, num_generated_tokens=generated
    )
    measured = with_ranks(measured, outcome.ranks)
    if isinstance(result, TrainResult):
        measured = with_flops(measured, result, _matmul_flops_per_second(run_dir))
    told = {"noise": outcome.noise, "sampler_cpu_share": outcome.sampler_cpu_share}
    return with_cost(measured, spec).model_copy(update=told)


def _matmul_flops_per_second(run_dir: Path) -> float | None:
    path = run_dir / _MATMUL
    return float(read_json(path)["flops_per_second"]) if path.is_file() else None
