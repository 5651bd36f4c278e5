"""Before a training starts: what is predicted for it, and whether it has a chance here."""

from collections.abc import Collection

from bakeoff.base.errors import UserError
from bakeoff.predict.device import Device
from bakeoff.runner.fit import Fitter, Options
from bakeoff.runner.fit_inputs import device_here
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.progress import step_name
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.prediction import FittedRun, Prediction


def predict_here(
    step: TrainPlan, study: PreparedStudy, workspace: Workspace, *, device: Device | None = None
) -> FittedRun | None:
    """The training on this machine as it is now; None where nothing can be said.

    A trace is used if `bakeoff fit` made it before; otherwise the formulas answer, at once.
    """
    options = Options(device=device or device_here(step.device), may_trace=False)
    try:
        found = Fitter(study, workspace, options).fit(step)
    except UserError:
        return None  # a file that cannot be read is told of by whoever needs it
    return found if found.prediction is not None else None


def predict_steps(
    study: PreparedStudy, workspace: Workspace, done: Collection[str]
) -> dict[str, Prediction]:
    """Of the trainings that are still to do, by name; by formulas, without counting rows."""
    found: dict[str, Prediction] = {}
    fitters: dict[str, Fitter] = {}
    for step in study.plan.steps:
        if not isinstance(step, TrainPlan) or step_name(step) in done:
            continue
        if step.device not in fitters:
            options = Options(
                device=device_here(step.device), may_count=False, may_trace=False, may_advise=False
            )
            fitters[step.device] = Fitter(study, workspace, options)
        prediction = fitters[step.device].fit(step).prediction
        if prediction is not None:
            found[step_name(step)] = prediction
    return found


def why_refuse(found: FittedRun | None) -> str | None:
    """Why the training has no chance; None: it may start.

    Only the low end of the prediction counts: a training that might just fit is tried.
    """
    if found is None or found.prediction is None or found.limit_bytes is None:
        return None
    prediction, free = found.prediction, found.limit_bytes
    if prediction.low_bytes <= free:
        return None
    settings: dict[str, str] = {}
    for change in found.changes:
        settings |= {setting.partition("=")[0]: setting for setting in change.settings}
    mend = " ".join(f"--set {setting}" for setting in settings.values())
    what = f"it fits with: {mend}" if mend else "no change known here makes it fit"
    return (
        f"it cannot fit in memory: {prediction.needed_bytes / 1e9:.1f} GB predicted, at least "
        f"{prediction.low_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; {what} "
        "(`bakeoff fit` says more, `bakeoff run --force` tries it all the same)"
    )
