"""What every conversation must be, whatever row it came from."""

from collections.abc import Mapping, Sequence
from typing import cast

from bakeoff.base.errors import UserError
from bakeoff.data.mistakes import EmptyTextError, RoleOrderError, WrongTypeError
from bakeoff.data.rows import checked_text, described
from bakeoff.schema.sample import SPEAKING_ROLES, Message, Role, Sample

_ASKING_ROLES = frozenset({"user", "tool"})
_NO_TURNS = "a row holds at least one question and its answer"
_SPEAKER: dict[Role, str] = {
    "system": "a system message",
    "user": "the user",
    "assistant": "the assistant",
    "tool_call": "the assistant (a call of a tool)",
    "tool": "a tool",
}


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
        raise EmptyTextError(f"{where}: `{key}` is empty", hint=_NO_TURNS)
    first = 1 if messages[0].role == "system" else 0
    if len(messages) == 1 and messages[0].role == "assistant":
        return
    for index, turn in enumerate(messages[first:], start=first):
        wanted = SPEAKING_ROLES if (index - first) % 2 else _ASKING_ROLES
        if turn.role not in wanted:
            raise RoleOrderError(
                f"{where}: {_misplaced(messages, index, key)}",
                hint="questions and answers must take turns, a question first, after at most one "
                "system message; join turns of the same speaker or take the row out",
            )
    if messages[-1].role not in SPEAKING_ROLES:
        raise RoleOrderError(
            f"{where}: `{key}` ends with {_SPEAKER[messages[-1].role]}, without an answer of the "
            "assistant",
            hint=f"{_NO_TURNS}: add the answer or take the last turn out",
        )
    if not any(turn.loss for turn in messages):
        raise UserError(
            f"{where}: `{key}` has no turn to learn: every `loss` is false",
            hint="set it true for an answer of the assistant, or take the row out",
        )


def _misplaced(messages: Sequence[Message], index: int, key: str) -> str:
    """What is wrong with the turn ``index``, the first in a wrong place."""
    turn = messages[index]
    speaker = _SPEAKER[turn.role]
    before = messages[index - 1] if index else None
    if turn.role == "system":
        return f"`{key}[{index}]` is a system message; only the first turn can be one"
    if before is None or before.role == "system":
        return f"`{key}[{index}]` is said by {speaker}; the first question of the user was expected"
    if before.role == turn.role:
        return f"`{key}[{index - 1}]` and `{key}[{index}]` are two turns of {speaker} in a row"
    after = _SPEAKER[before.role]
    return f"`{key}[{index}]` is said by {speaker}, which cannot follow {after}"


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
        raise WrongTypeError(
            f"{where}: `{key}` must be a list of [question, answer], got {described(value)}",
            hint='such as "history": [["Hello", "Hello, how can I help?"]]',
        )
    turns: list[Message] = []
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise WrongTypeError(
                f"{where}: `{key}[{index}]` must be [question, answer], got {described(pair)}",
                hint="each earlier turn is a list of two texts",
            )
        for place, role in enumerate(("user", "assistant")):
            content = checked_text(pair[place], f"{key}[{index}][{place}]", where=where)
            turns.append(speak(cast("Role", role), content))
    return turns
