"""What a step, and what goes on in it, is called on the screen."""

from collections.abc import Sequence

from bakeoff.schema.plan import DataStep, EnvironmentStep, EvalPlan, ModelStep, Step, TrainPlan

PHASES = {
    "import": "starting",
    "prepare": "preparing",
    "load_model": "loading the model",
    "load_data": "reading the data",
    "train": "training",
    "validate": "validation loss",
    "save": "saving",
    "evaluate": "answering",
    "convert": "converting",
    "calibrate": "measuring the device",
}
"""Of a run, by the names that its events give them."""


def describe(step: Step, varying: Sequence[str] = ()) -> str:
    """One line; of a run, the axes of the study that tell it from its neighbours."""
    if isinstance(step, EnvironmentStep):
        return f"environment {step.name}"
    if isinstance(step, ModelStep):
        return f"model {step.model.title}"
    if isinstance(step, DataStep):
        return f"data {step.data.source}"
    if isinstance(step, TrainPlan):
        again = f", turn {step.turn}" if step.turn > 1 else ""
        return f"train {_cell(step, varying)}{again}"
    who = "untouched model" if step.train_id is None else _cell(step, varying)
    return f"evaluate {who}, {step.task}, {step.num_fewshot}-shot"


def _cell(step: TrainPlan | EvalPlan, varying: Sequence[str]) -> str:
    first = [str(step.axes[name]) for name in ("method", "backend") if name in step.axes]
    rest = [
        f"{name.rpartition('.')[2]}={step.axes[name]}"
        for name in varying
        if name in step.axes and name not in ("method", "backend")
    ]
    return " ".join([*first, *rest])
