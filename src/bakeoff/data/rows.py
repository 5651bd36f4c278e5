"""One row of a dataset: what is expected of it, and how a message tells what came instead."""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bakeoff.base.errors import UserError
from bakeoff.data.mistakes import EmptyTextError, MissingColumnError, WrongTypeError
from bakeoff.schema.recipe_subject import Columns
from bakeoff.schema.sample import SPEAKING_ROLES, Message, Sample

# Names under which others publish the same two columns, likeliest first.
_USUAL_NAMES = {
    "prompt": ("question", "instruction", "prompt", "problem", "query", "input"),
    "response": ("answer", "output", "response", "completion", "solution", "target"),
}
COLUMN_MEANINGS = {
    "prompt": "the question",
    "query": "the question",
    "response": "the answer",
    "system": "the system message",
    "history": "the earlier turns",
    "messages": "the turns",
    "tools": "the tools",
    "text": "the text",
}
"""What the column of each role holds."""

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
    """The last question; empty for plain text."""

    response: str
    messages: tuple[Message, ...] = ()
    """All turns in order, where there is more to the row than one question and its answer."""

    @property
    def conversation(self) -> tuple[Message, ...]:
        """All turns in order, whatever the row."""
        if not self.prompt:
            return (Message("assistant", self.response, True),)  # noqa: FBT003
        return self.messages or (
            Message("user", self.prompt, False),  # noqa: FBT003 - it is a tuple's field
            Message("assistant", self.response, True),  # noqa: FBT003
        )

    @property
    def asked(self) -> str:
        """What makes two rows the same question: all that is asked, or else the plain text."""
        if not self.messages:
            return self.prompt
        asked = [turn.content for turn in self.messages if turn.role in ("user", "tool")]
        return "\n".join(asked) or self.response

    @property
    def answered(self) -> str:
        """All that the assistant says, of several turns too."""
        if not self.messages:
            return self.response
        return "\n".join(turn.content for turn in self.messages if turn.role in SPEAKING_ROLES)


def row_of(sample: Sample, *, where: str) -> Row:
    """A conversation as a row that can be trained on.

    Raises:
        UserError: It needs tools, which no prompt of ours has a place for.
    """
    turns = sample.turns
    if sample.tools or any(turn.role in ("tool", "tool_call") for turn in turns):
        raise UserError(
            f"{where}: the row calls tools, which the built-in prompts have no place for",
            hint="take such rows out; `bakeoff data convert` brings them into other formats",
        )
    prompt = "" if sample.is_text else turns[-2].content
    plain = len(sample.messages) == 2 and turns[-1].loss
    return Row(prompt, turns[-1].content, () if plain else sample.messages)


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
        raise not_an_object(value, columns, where=where)
    return Row(
        _text(value, columns.prompt, "prompt", where=where),
        _text(value, columns.response, "response", where=where),
    )


def not_an_object(value: object, columns: Columns, *, where: str) -> WrongTypeError:
    """The error for a row that has no columns at all."""
    return WrongTypeError(
        f"{where}: expected an object with the columns `{columns.prompt}` and "
        f"`{columns.response}`, got {described(value)}",
        hint='a row looks like {"question": "1 + 1?", "answer": "2"}',
    )


def missing_column(
    column: str, role: str, *, present: Sequence[str], where: str
) -> MissingColumnError:
    """The error for a column that is not there.

    Args:
        column: Name that the recipe asks for.
        role: Which of the recipe's `data.columns` it is, such as `prompt`.
        present: Names of the columns that are there; empty where rows differ.
        where: File and row, for the message.
    """
    listed = ", ".join(f"`{name}`" for name in present) or "none at all"
    better = _likely_column(column, role, present)
    change = f"`data.columns.{role}: {better}`" if better else f"`data.columns.{role}`"
    meaning = COLUMN_MEANINGS.get(role, role)
    return MissingColumnError(
        f"{where}: there is no column `{column}`; the columns there are {listed}",
        hint=f"set {change} in the recipe to name the column that holds {meaning}",
    )


def _likely_column(column: str, role: str, present: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in present}
    close = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.75)
    usual = [name for name in _USUAL_NAMES.get(role, ()) if name in by_lower]
    return next((by_lower[name] for name in (*close, *usual)), None)


def _text(row: dict[str, object], column: str, role: str, *, where: str) -> str:
    if column not in row:
        raise missing_column(column, role, present=[str(name) for name in row], where=where)
    if role == "response":
        return answer_text(row, column, where=where)
    return checked_text(row[column], column, where=where)


def answer_text(row: Mapping[str, object], column: str, *, where: str) -> str:
    """The text of an answer, which may stand there as a number.

    Raises:
        UserError: It is neither, or blank.
    """
    value = row[column]
    return checked_text(json.dumps(value) if _is_number(value) else value, column, where=where)


def checked_text(value: object, key: str, *, where: str, may_be_blank: bool = False) -> str:
    """``value`` if it is text that can be written as UTF-8.

    Args:
        value: What stands in the row.
        key: Where in the row, for messages: `answer`, or `messages[2].content`.
        where: File and row, for messages.
        may_be_blank: Whether white space alone is a text.

    Raises:
        UserError: What was expected there and what came.
    """
    if not isinstance(value, str):
        kind = EmptyTextError if value is None else WrongTypeError
        raise kind(
            f"{where}: `{key}` must be text, got {described(value)}",
            hint="correct the row or take it out",
        )
    if not may_be_blank and not value.strip():
        raise EmptyTextError(f"{where}: `{key}` is empty", hint="fill it in or take the row out")
    if _HALF_A_CHARACTER.search(value):
        raise UserError(
            f"{where}: `{key}` holds half a character (a lone surrogate such as \\ud83d)",
            hint="an emoji was cut in two when the file was written: correct the row",
        )
    return value


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def described(value: object) -> str:
    """What came instead, in words, cut to a line."""
    kind = _TYPE_NAMES.get(type(value), type(value).__name__)
    if value is None or isinstance(value, bool):
        return kind
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return f"{kind}: {shown if len(shown) <= 40 else shown[:37] + '...'}"
