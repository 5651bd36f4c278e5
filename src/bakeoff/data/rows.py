"""One row of a dataset: what is expected of it, and how a message tells what came instead."""

import difflib
import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from bakeoff.base.errors import UserError
from bakeoff.schema.recipe import Columns

# Names under which others publish the same two columns, likeliest first.
_USUAL_NAMES = {
    "prompt": ("question", "instruction", "prompt", "problem", "query", "input"),
    "response": ("answer", "output", "response", "completion", "solution", "target"),
}
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_TYPE_NAMES = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    str: "text",
}


class Row(NamedTuple):
    """A question and its answer, as the dataset has them."""

    prompt: str
    response: str


def check_row(value: object, columns: Columns, *, where: str) -> Row:
    """The two texts of a row.

    A response may be a number, for answers are often kept as such; it becomes the text that JSON
    writes for it. Everything else must be text, and not blank.

    Args:
        value: The row as the file has it.
        columns: Which of its columns to take.
        where: File and row, for messages.

    Raises:
        UserError: What was expected there and what came.
    """
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: expected an object with the columns `{columns.prompt}` and "
            f"`{columns.response}`, got {_described(value)}",
            hint='a row looks like {"question": "1 + 1?", "answer": "2"}',
        )
    return Row(
        _text(value, columns.prompt, "prompt", where=where),
        _text(value, columns.response, "response", where=where),
    )


def missing_column(column: str, role: str, *, present: Sequence[str], where: str) -> UserError:
    """The error for a column that is not there.

    Args:
        column: Name that the recipe asks for.
        role: Which of the recipe's `data.columns` it is: `prompt` or `response`.
        present: Names of the columns that are there.
        where: File and row, for the message.
    """
    listed = ", ".join(f"`{name}`" for name in present) or "none at all"
    better = _likely_column(column, role, present)
    change = f"`data.columns.{role}: {better}`" if better else f"`data.columns.{role}`"
    meaning = "question" if role == "prompt" else "answer"
    return UserError(
        f"{where}: there is no column `{column}`; the columns there are {listed}",
        hint=f"set {change} in the recipe to name the column that holds the {meaning}",
    )


def _likely_column(column: str, role: str, present: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in present}
    close = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.75)
    usual = [name for name in _USUAL_NAMES[role] if name in by_lower]
    return next((by_lower[name] for name in (*close, *usual)), None)


def _text(row: dict[str, object], column: str, role: str, *, where: str) -> str:
    if column not in row:
        raise missing_column(column, role, present=[str(name) for name in row], where=where)
    value = row[column]
    if role == "response" and _is_number(value):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise UserError(
            f"{where}: `{column}` must be text, got {_described(value)}",
            hint="correct the row or take it out",
        )
    if not value.strip():
        raise UserError(f"{where}: `{column}` is empty", hint="fill it in or take the row out")
    if _HALF_A_CHARACTER.search(value):
        raise UserError(
            f"{where}: `{column}` holds half a character (a lone surrogate such as \\ud83d)",
            hint="an emoji was cut in two when the file was written: correct the row",
        )
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _described(value: object) -> str:
    kind = _TYPE_NAMES.get(type(value), type(value).__name__)
    if value is None or isinstance(value, bool):
        return kind
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return f"{kind}: {shown if len(shown) <= 40 else shown[:37] + '...'}"
