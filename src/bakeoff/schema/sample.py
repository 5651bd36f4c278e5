"""The one form that every row of every dataset is brought into, and how a row is laid out.

Plain tuples rather than documents: a million of them pass through, a few at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool_call", "tool"]
"""``tool_call`` is what the assistant says to a tool, ``tool`` what the tool answers."""

SPEAKING_ROLES: frozenset[str] = frozenset({"assistant", "tool_call"})
"""Whose words are learned."""


class Message(NamedTuple):
    """One turn."""

    role: Role
    content: str
    loss: bool
    """Whether its tokens are learned; only ever true for the assistant's own words."""


class Sample(NamedTuple):
    """One conversation, or one plain text, which is a single message of the assistant."""

    messages: tuple[Message, ...]
    tools: str = ""
    """Descriptions of the tools at hand, as the dataset writes them; empty: none."""

    @property
    def is_text(self) -> bool:
        return len(self.messages) == 1

    @property
    def system(self) -> str | None:
        """None: no system message, which is not the same as an empty one."""
        first = self.messages[0]
        return first.content if first.role == "system" else None

    @property
    def turns(self) -> tuple[Message, ...]:
        """All but the system message."""
        return self.messages[1:] if self.messages[0].role == "system" else self.messages


@dataclass(frozen=True)
class Layout:
    """Where in a row what is found: the recipe's `data.format`, `data.columns`, `data.tags`."""

    format: str = "auto"
    """Name of a row format; `auto`: seen from the first row."""

    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Column by role (prompt, query, response, system, history, messages, tools, text)."""

    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What messages call things (role, content, user, assistant, observation, function, system)."""

    only_named: bool = False
    """Whether a column that is not named is left alone even where its usual name is there."""

    only_named_tags: bool = False
    swift_names: bool = False
    """Whether every name that ms-swift understands counts as usual."""

    def column(self, role: str, usual: str | None) -> str | None:
        """The column for ``role``; None: there is none."""
        return self.columns.get(role, None if self.only_named else usual)

    def tag(self, kind: str, usual: str) -> str | None:
        return self.tags.get(kind, None if self.only_named_tags else usual)
