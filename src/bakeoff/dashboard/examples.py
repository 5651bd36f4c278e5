"""Questions of a training's test split, which it never saw, to put to a model by hand."""

import json
from collections.abc import Mapping
from typing import Any

from bakeoff.dashboard.rows_file import Kept
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import TrainPlan, run_name
from bakeoff.schema.study import Study

_MOST_TRIED = 200


def _note(_: bytes) -> None:
    """Nothing but the places of the rows is kept."""


_files = Kept(_note)


def unseen_question(
    workspace: Workspace, study: Study, run_id: str, number: int
) -> Mapping[str, Any] | None:
    """``{"question", "expected", "next"}``: the row of that number or the first fit one after it.

    None: the rows are gone, or none of them is a single question.
    Rows that bring a system message or earlier turns are left out: they would be put without them.
    """
    trainings = {run_name(s): s for s in study.plan.steps if isinstance(s, TrainPlan)}
    training = trainings.get(run_id)
    if training is None:
        return None
    path = workspace.data_dir(training.data_id) / "test.jsonl"
    try:
        rows = _files.of(path)
    except FileNotFoundError:
        return None
    for place in range(number, number + min(len(rows), _MOST_TRIED)):
        row = json.loads(next(rows.lines([place % len(rows)])))
        if [message["role"] for message in row["messages"]] == ["user", "assistant"]:
            return {"question": row["prompt"], "expected": row["response"], "next": place + 1}
    return None
