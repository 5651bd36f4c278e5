"""Lists of turns: sharegpt (`conversations` of `from` and `value`) and OpenAI messages.

Both are one class with other names. Where the recipe gives no tags, the usual words of either are
understood (`human` and `user`, `gpt` and `assistant`). A turn may say whether it is learned:
`loss` (true, false, 1, 0), or `weight` (1, 0) as OpenAI's fine-tuning has it.
"""

import functools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bakeoff.base.errors import UserError
from bakeoff.data.formats.turns import check_order, only_text, speak
from bakeoff.data.mistakes import MissingColumnError, UnknownRoleError, WrongTypeError
from bakeoff.data.rows import checked_text, described, missing_column
from bakeoff.schema.sample import SPEAKING_ROLES, Layout, Message, Role, Sample

_COLUMNS = ("messages", "conversations", "conversation")
_TAG_OF_ROLE: dict[Role, str] = {
    "user": "user",
    "assistant": "assistant",
    "tool": "observation",
    "tool_call": "function",
    "system": "system",
}
_SYNONYMS: dict[Role, tuple[str, ...]] = {
    "user": ("user", "human"),
    "assistant": ("assistant", "gpt", "bot"),
    "tool": ("tool", "observation", "tool_response", "function_response"),
    "tool_call": ("tool_call", "function_call"),
    "system": ("system",),
}


@dataclass(frozen=True)
class Chat:
    """One of the two families of names."""

    column: str
    role_key: str
    content_key: str
    names: Mapping[Role, str] = field(hash=False)

    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        return _columns(self, layout, tuple(present))

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        column = self._column(layout, row)
        turns = row.get(column)
        if column not in row or not (turns is None or isinstance(turns, list)):
            return 0
        first = turns[0] if turns else None
        key = layout.tag("role", self.role_key)
        if isinstance(first, dict) and key not in first:
            return 0
        return 7 if "messages" in layout.columns else 3

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        columns = self.columns(layout, row)
        column = columns["messages"]
        if column not in row:
            raise missing_column(column, "messages", present=list(row), where=where)
        value = row[column]
        if not isinstance(value, list):
            raise WrongTypeError(
                f"{where}: `{column}` must be a list of turns, got {described(value)}",
                hint=f'such as [{{"{self.role_key}": "{self.names["user"]}", '
                f'"{self.content_key}": "..."}}, ...]',
            )
        read = _turn_reader(self, layout, column).read
        turns = [read(turn, index, where) for index, turn in enumerate(value)]
        system = only_text(row, columns.get("system"), where=where)
        check_order(turns, key=column, where=where)
        if system and turns[0].role != "system":
            turns.insert(0, speak("system", system))
            # A lone answer is a plain text, but not after a system message.
            check_order(turns, key=column, where=where)
        return Sample(tuple(turns), _tools_text(row, columns.get("tools"), where))

    def unheld(self, sample: Sample) -> str | None:
        return None

    def optional(self, sample: Sample) -> Collection[str]:
        return ["tools"] if sample.tools else []

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        role_key = layout.tag("role", self.role_key) or self.role_key
        content_key = layout.tag("content", self.content_key) or self.content_key
        turns = []
        for turn in sample.messages:
            name = layout.tag(_TAG_OF_ROLE[turn.role], self.names[turn.role])
            written: dict[str, object] = {role_key: name, content_key: turn.content}
            if "loss" in with_optional or (turn.role in SPEAKING_ROLES and not turn.loss):
                written["loss"] = turn.loss
            turns.append(written)
        row: dict[str, object] = {layout.column("messages", self.column) or self.column: turns}
        if "tools" in with_optional:
            row[layout.column("tools", "tools") or "tools"] = sample.tools
        return row

    def _column(self, layout: Layout, present: Collection[str]) -> str:
        named = layout.columns.get("messages")
        if named is not None:
            return named
        usual = [self.column, *(name for name in _COLUMNS if name != self.column)]
        return next((name for name in usual if name in present), self.column)


@functools.lru_cache(64)
def _columns(family: Chat, layout: Layout, present: tuple[str, ...]) -> Mapping[str, str]:
    """The rows of a file have the same columns, mostly."""
    optional = {role: layout.column(role, role) for role in ("system", "tools")}
    found = {
        role: name
        for role, name in optional.items()
        if name is not None and (name in present or role in layout.columns)
    }
    return {"messages": family._column(layout, present), **found}


SHAREGPT = Chat(
    "conversations",
    "from",
    "value",
    {
        "user": "human",
        "assistant": "gpt",
        "tool": "observation",
        "tool_call": "function_call",
        "system": "system",
    },
)
MESSAGES = Chat(
    "messages",
    "role",
    "content",
    {
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
        "tool_call": "tool_call",
        "system": "system",
    },
)


class _TurnReader:
    """Reads the turns of rows that are laid out alike."""

    def __init__(self, family: Chat, layout: Layout, column: str) -> None:
        self._role_key = layout.tag("role", family.role_key) or family.role_key
        self._content_key = layout.tag("content", family.content_key) or family.content_key
        self._roles = _role_by_name(layout)
        self._column = column

    def read(self, turn: object, index: int, where: str) -> Message:
        key = f"{self._column}[{index}]"
        if not isinstance(turn, dict):
            raise WrongTypeError(
                f"{where}: `{key}` must be an object, got {described(turn)}",
                hint=f'a turn is {{"{self._role_key}": "...", "{self._content_key}": "..."}}',
            )
        if turn.get("tool_calls"):
            raise UserError(
                f"{where}: `{key}.tool_calls` is not read",
                hint="write the call as a turn of its own, with the role `tool_call`",
            )
        for needed in (self._role_key, self._content_key):
            if needed not in turn:
                raise MissingColumnError(
                    f"{where}: `{key}` has no `{needed}`; it has "
                    f"{', '.join(f'`{name}`' for name in turn) or 'nothing'}",
                    hint="name its keys with `data.tags.role` and `data.tags.content`",
                )
        role = self._role(turn[self._role_key], f"{where}: `{key}.{self._role_key}`")
        content = checked_text(
            turn[self._content_key],
            f"{key}.{self._content_key}",
            where=where,
            may_be_blank=role == "system",
        )
        if len(turn) == 2:
            return Message(role, content, role in SPEAKING_ROLES)
        return Message(role, content, _loss(turn, role, f"{where}: `{key}"))

    def _role(self, name: object, place: str) -> Role:
        if isinstance(name, str) and name in self._roles:
            return self._roles[name]
        raise UnknownRoleError(
            f"{place} must be one of "
            f"{', '.join(f'`{known}`' for known in self._roles)}; got {described(name)}",
            hint="name other speakers with `data.tags`, such as `data.tags.user: customer`",
        )


_turn_reader = functools.lru_cache(64)(_TurnReader)


def _loss(turn: Mapping[str, object], role: Role, place: str) -> bool:
    for name in ("loss", "weight"):
        value = turn.get(name)
        if value is None:
            continue
        if value not in (0, 1) or not isinstance(value, int | float):
            raise WrongTypeError(
                f"{place}.{name}` must be true or false, got {described(value)}",
                hint="true: these words are learned",
            )
        if value and role not in SPEAKING_ROLES:
            raise UserError(
                f"{place}.{name}` is true for a turn of `{role}`",
                hint="only what the assistant says is learned",
            )
        return bool(value)
    return role in SPEAKING_ROLES


def _role_by_name(layout: Layout) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for role, tag in _TAG_OF_ROLE.items():
        named = layout.tags.get(tag)
        if named is not None:
            roles[named] = role
        elif not layout.only_named_tags:
            roles.update({name: role for name in _SYNONYMS[role] if name not in roles})
    return roles


def _tools_text(row: Mapping[str, object], column: str | None, where: str) -> str:
    if column is None:
        return ""
    value = row.get(column)
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False) if value else ""
        return checked_text(text, column, where=where, may_be_blank=True)
    return only_text(row, column, where=where)
