"""Rows on disk become token ids and labels."""

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        return sum(label != IGNORED for label in self.labels[1:])

    def to_bytes(self) -> bytes:
        """Token ids, then labels, each a signed 64-bit number."""
        return array("q", self.token_ids).tobytes() + array("q", self.labels).tobytes()


@dataclass(frozen=True)
class Rows:
    """The rows of a split that are used."""

    rows: list[Row]
    num_dropped: int
    """Rows longer than allowed."""

    @property
    def num_tokens(self) -> int:
        return sum(len(row.token_ids) for row in self.rows)

    @property
    def num_targets(self) -> int:
        return sum(row.num_targets for row in self.rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; none when the file is missing."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tokenize(
    raw_rows: list[dict[str, Any]],
    tokenizer: Any,
    *,
    max_length: int,
    overlong: str,
    loss_on: str,
) -> Rows:
    """Tokens of each segment by itself, then the end-of-sequence token, which is learned.

    Segments are cut apart before tokenisation, so that the prompt becomes the same tokens as in an
    evaluation, where the response is not there yet.

    Raises:
        JobError: a row is too long and ``overlong`` is ``error``; a row has nothing to learn.
    """
    texts = [segment["text"] for raw in raw_rows for segment in raw["segments"]]
    tokens = iter(tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else [])
    start = beginning_tokens(tokenizer)
    rows = []
    for raw in raw_rows:
        segments = [(next(tokens), segment["loss"]) for segment in raw["segments"]]
        row = _build_row(raw["id"], segments, start=start, end=end_token(tokenizer))
        if loss_on == "all":
            row = Row(row.id, row.token_ids, row.token_ids)
        if len(row.token_ids) > max_length and overlong == "error":
            raise JobError(
                f"Row `{row.id}` has {len(row.token_ids)} tokens, more than `train.max_length` "
                f"({max_length}). Raise that, or set `train.overlong: drop`."
            )
        rows.append(row)
    kept = [row for row in rows if len(row.token_ids) <= max_length]
    _require_targets(kept)
    return Rows(kept, num_dropped=len(rows) - len(kept))


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


def _build_row(
    row_id: str, segments: Iterable[tuple[list[int], bool]], *, start: list[int], end: int
) -> Row:
    token_ids = [*start]
    labels = [IGNORED] * len(start)
    for tokens, is_learned in segments:
        token_ids += tokens
        labels += tokens if is_learned else [IGNORED] * len(tokens)
    return Row(row_id, [*token_ids, end], [*labels, end])


def _require_targets(rows: list[Row]) -> None:
    for row in rows:
        # The end-of-sequence token alone would teach to answer nothing.
        if row.num_targets < 2:
            raise JobError(
                f"Row `{row.id}` has no token to learn: its response is empty, or no segment of "
                "it has `loss: true`. Remove the row, or name the right columns in the recipe."
            )
