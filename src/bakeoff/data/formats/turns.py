"""What every conversation must be, whatever row it came from."""

from collections.abc import Mapping, Sequence
from typing import cast

from bakeoff.base.errors import UserError
from bakeoff.data.rows import checked_text, described
from bakeoff.schema.sample import SPEAKING_ROLES, Message, Role, Sample

_ASKING_ROLES = frozenset({"user", "tool"})
_NO_TURNS = "a row holds at least one question and its answer"


def speak(role: Role, content: str) -> Message:
    """A turn, learned if it is the assistant's."""
    return Message(role, content, role in SPEAKING_ROLES)


def single_turn(
    prompt: str, response: str, *, system: str = "", history: Sequence[Message] = ()
) -> Sample:
    """One question and its answer; an empty system message stands for none."""
    head = (speak("system", system),) if system else ()
    return Sample((*head, *history, speak("user", prompt), speak("assistant", response)))


def check_order(messages: Sequence[Message], *, key: str, where: str) -> None:
    """Questions and answers take turns, the first a question, the last an answer.

    A system message may come first. One lone answer is a plain text.

    Raises:
        UserError: The first turn that stands in the wrong place.
    """
    if not messages:
        raise UserError(f"{where}: `{key}` is empty", hint=_NO_TURNS)
    first = 1 if messages[0].role == "system" else 0
    if len(messages) == 1 and messages[0].role == "assistant":
        return
    for index, turn in enumerate(messages[first:]):
        wanted = SPEAKING_ROLES if index % 2 else _ASKING_ROLES
        if turn.role not in wanted:
            expected = "the assistant" if index % 2 else "the user (or a tool's answer)"
            raise UserError(
                f"{where}: `{key}[{first + index}]` is said by `{turn.role}`; {expected} was "
                "expected there",
                hint="questions and answers must take turns, a question first, after at most one "
                "system message; join turns of the same speaker or take the row out",
            )
    if (len(messages) - first) % 2 or len(messages) == first:
        raise UserError(f"{where}: `{key}` ends without an answer of the assistant", hint=_NO_TURNS)
    if not any(turn.loss for turn in messages):
        raise UserError(
            f"{where}: `{key}` has no turn to learn: every `loss` is false",
            hint="set it true for an answer of the assistant, or take the row out",
        )


def only_text(row: Mapping[str, object], column: str | None, *, where: str) -> str:
    """The text of an optional column; empty where it is absent or null."""
    value = None if column is None else row.get(column)
    if value is None:
        return ""
    return checked_text(value, cast("str", column), where=where, may_be_blank=True)


def history_turns(value: object, *, key: str, where: str) -> list[Message]:
    """Earlier turns as alpaca has them: a list of [question, answer].

    Raises:
        UserError: It is anything else.
    """
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise UserError(
            f"{where}: `{key}` must be a list of [question, answer], got {described(value)}",
            hint='such as "history": [["Hello", "Hello, how can I help?"]]',
        )
    turns: list[Message] = []
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(
                f"{where}: `{key}[{index}]` must be [question, answer], got {described(pair)}",
                hint="each earlier turn is a list of two texts",
            )
        for place, role in enumerate(("user", "assistant")):
            content = checked_text(pair[place], f"{key}[{index}][{place}]", where=where)
            turns.append(speak(cast("Role", role), content))
    return turns
