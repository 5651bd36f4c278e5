"""What each step of a plan cost, or is thought to cost."""

from collections.abc import Mapping

from bakeoff.runner.progress import step_name
from bakeoff.schema.plan import EvalPlan, Plan, Step, TrainPlan
from bakeoff.schema.prediction import Prediction
from bakeoff.schema.record import Record

Done = Mapping[str, Record | None]
Predicted = Mapping[str, Prediction]


def cost_of(
    step: Step, plan: Plan, done: Done, predicted: Predicted
) -> tuple[float | None, int | None, bool]:
    """Measured if done; else as the alike steps of this plan that are done; else as predicted."""
    record = done.get(step_name(step))
    if record is not None and record.measurement is not None:
        return record.measurement.wall_seconds, record.measurement.peak_host_bytes, False
    alike = [
        found.measurement
        for other in plan.steps
        if (found := done.get(step_name(other))) is not None
        and found.measurement is not None
        and _kind(other) == _kind(step)
    ]
    if not alike:
        prediction = predicted.get(step_name(step))
        if prediction is None:
            return None, None, False
        return prediction.seconds, prediction.needed_bytes, True
    seconds = sum(measured.wall_seconds for measured in alike) / len(alike)
    peaks = [m.peak_host_bytes for m in alike if m.peak_host_bytes is not None]
    return seconds, max(peaks, default=None), True


def _kind(step: Step) -> tuple[str, ...]:
    if isinstance(step, TrainPlan):
        return (step.kind, step.backend, step.method)
    if isinstance(step, EvalPlan):
        return (step.kind, step.task, str(step.num_fewshot))
    return (step.kind, step.id)
