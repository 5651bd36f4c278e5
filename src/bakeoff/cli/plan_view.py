"""A plan as a table and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING, num_bytes
from bakeoff.compare.numbers import seconds as show_duration
from bakeoff.runner.plan_costs import Done, Predicted, cost_of
from bakeoff.runner.progress import step_name
from bakeoff.runner.step_names import describe
from bakeoff.schema.plan import Plan, Step
from bakeoff.schema.prediction import Prediction


def plan_table(plan: Plan, done: Done, predicted: Predicted) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("step", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    if predicted:
        table.add_column("disk", justify="right", no_wrap=True)
    table.add_column("id", style="dim", no_wrap=True)
    for index, step in enumerate(plan.steps, start=1):
        name = step_name(step)
        record = done.get(name)
        seconds, peak, is_guess = cost_of(step, plan, done, predicted)
        mark = "~" if is_guess else ""
        table.add_row(
            str(index),
            describe(step, plan.axes),
            Text("done", "green") if name in done else Text("to do", "yellow"),
            MISSING if seconds is None else mark + show_duration(seconds),
            MISSING if peak is None else mark + num_bytes(peak),
            *([_disk(predicted.get(name))] if predicted else []),
            record.run_id if record is not None else step.id,
        )
    return Group(_heading(plan), table, _foot(plan, done, predicted))


def _disk(prediction: Prediction | None) -> str:
    return MISSING if prediction is None else "~" + num_bytes(prediction.disk_bytes)


def plan_json(plan: Plan, done: Done, predicted: Predicted) -> dict[str, Any]:
    """The plan with, for each step, whether it is done and what it cost or is thought to cost."""
    steps = []
    for step in plan.steps:
        seconds, peak, is_guess = cost_of(step, plan, done, predicted)
        prediction = predicted.get(step_name(step))
        steps.append(
            {
                "name": step_name(step),
                "done": step_name(step) in done,
                "seconds": seconds,
                "peak_host_bytes": peak,
                "is_prediction": is_guess,
                "prediction": prediction and prediction.model_dump(mode="json"),
                **step.model_dump(mode="json"),
            }
        )
    return {"study": plan.study, "axes": list(plan.axes), "steps": steps}


def _heading(plan: Plan) -> Text:
    axes = f", over {', '.join(plan.axes)}" if plan.axes else ""
    return Text.assemble(("study ", "dim"), (plan.study, "bold"), (axes, "dim"))


def _foot(plan: Plan, done: Done, predicted: Predicted) -> Text:
    left: Sequence[Step] = [step for step in plan.steps if step_name(step) not in done]
    if not left:
        return Text("nothing to do: every step is finished", "green")
    costs = [cost_of(step, plan, done, predicted)[0] for step in left]
    known = [seconds for seconds in costs if seconds is not None]
    total = f", about {show_duration(sum(known))}" if known and len(known) == len(costs) else ""
    return Text(f"{len(left)} of {len(plan.steps)} steps to do{total}")
