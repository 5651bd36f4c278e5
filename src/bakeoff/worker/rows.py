"""Training texts as token ids and labels, and the special tokens at their edges."""

import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

from bakeoff.worker.failures import JobError

IGNORED = -100
"""Label of a token that is not learned, as everywhere in PyTorch."""


@dataclass(frozen=True)
class Row:
    """One training text."""

    id: str
    token_ids: list[int]
    labels: list[int]
    """The token's own id where it is learned, IGNORED elsewhere."""

    @property
    def num_targets(self) -> int:
        """Labels that a next-token prediction can learn: all but that of the very first token."""
        return max(0, len(self.labels) - 1) - self.labels[1:].count(IGNORED)

    def to_bytes(self) -> bytes:
        """Token ids, then labels, each a signed 64-bit number."""
        return array("q", self.token_ids).tobytes() + array("q", self.labels).tobytes()


class RowList(Protocol):
    """A list of rows, or what can be read like one."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Row]: ...
    @overload
    def __getitem__(self, index: int, /) -> Row: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Row]: ...


@dataclass(frozen=True)
class Rows:
    """The rows of a split that are used."""

    rows: RowList
    num_dropped: int
    """Rows longer than allowed."""

    num_truncated: int = 0
    """Rows whose prompt was cut at its beginning."""

    known: Mapping[str, int] = field(default_factory=dict)
    """What has been counted: `num_tokens`, `num_targets`, and the place of the `longest` row."""

    @property
    def num_tokens(self) -> int:
        counted = self.known.get("num_tokens")
        return sum(len(row.token_ids) for row in self.rows) if counted is None else counted

    @property
    def num_targets(self) -> int:
        counted = self.known.get("num_targets")
        return sum(row.num_targets for row in self.rows) if counted is None else counted

    @property
    def examples(self) -> list[Row]:
        """The first three and the longest."""
        place = self.known.get("longest")
        if place is None:
            lengths = [len(row.token_ids) for row in self.rows]
            place = lengths.index(max(lengths)) if lengths else 0
        return [*self.rows[:3], *self.rows[place : place + 1]]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; none when the file is missing."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def beginning_tokens(tokenizer: Any) -> list[int]:
    """The beginning-of-sequence token, if this tokenizer puts one before a text by itself."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a")["input_ids"]
    adds_one = len(special) > len(plain) and special[0] == tokenizer.bos_token_id
    return [tokenizer.bos_token_id] if adds_one else []


def end_token(tokenizer: Any) -> int:
    """The token that tells a generation to stop."""
    if tokenizer.eos_token_id is None:
        raise JobError(
            "The tokenizer names no end-of-sequence token (`eos_token` in tokenizer_config.json), "
            "so the model could not learn where an answer ends. Add it there."
        )
    return int(tokenizer.eos_token_id)
