"""Rows on disk become token ids and labels."""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

from bakeoff.worker.failures import JobError

IGNORED = -100
"""Label of a token that is not learned, as everywhere in PyTorch."""


_NUM_TRIED = 4
"""Texts on which the fast way of encoding must agree with the tokenizer itself."""


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

    Args:
        raw_rows: as they lie on disk.
        tokenizer: the model's own.
        max_length: in tokens, with those of beginning and end.
        overlong: `drop`, `truncate-prompt-left` or `error`.
        loss_on: `response` or `all`.

    Raises:
        JobError: a row is too long and ``overlong`` is ``error``; a row has nothing to learn.
    """
    return build_rows(
        raw_rows,
        encode(raw_rows, tokenizer),
        (beginning_tokens(tokenizer), end_token(tokenizer)),
        max_length=max_length,
        overlong=overlong,
        loss_on=loss_on,
    )


def encode(raw_rows: list[dict[str, Any]], tokenizer: Any) -> list[list[int]]:
    """The tokens of every segment of every row, one after the other."""
    texts = [segment["text"] for raw in raw_rows for segment in raw["segments"]]
    if not texts:
        return []
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        return list(tokenizer(texts, add_special_tokens=False)["input_ids"])
    few = texts[:_NUM_TRIED]
    expected = tokenizer(few, add_special_tokens=False)["input_ids"]  # truncates and pads nothing
    if [found.ids for found in fast.encode_batch_fast(few, add_special_tokens=False)] != expected:
        return list(tokenizer(texts, add_special_tokens=False)["input_ids"])
    # Without the places of tokens in the text, which nobody asks for: a third faster.
    encodings = fast.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def build_rows(
    raw_rows: list[dict[str, Any]],
    encoded: Iterable[list[int]],
    edges: tuple[list[int], int],
    *,
    max_length: int,
    overlong: str,
    loss_on: str,
) -> Rows:
    """Rows of the tokens of their segments, with tokens before and a token behind them.

    The rest is as with :func:`tokenize`.
    """
    tokens = iter(encoded)
    start, end = edges
    kept: list[Row] = []
    num_truncated = 0
    for raw in raw_rows:
        segments = [(next(tokens), segment["loss"]) for segment in raw["segments"]]
        first, is_learned = segments[0]
        if start and first[: len(start)] == start:
            # A chat template writes it itself; the harness, too, puts no second one before it.
            segments[0] = first[len(start) :], is_learned
        excess = len(start) + sum(len(ids) for ids, _ in segments) + 1 - max_length
        if excess > 0 and overlong == "error":
            raise JobError(
                f"Row `{raw['id']}` has {excess + max_length} tokens, more than `train.max_length` "
                f"({max_length}). Raise that, or set `train.overlong: drop`."
            )
        if excess > 0 and overlong == "truncate-prompt-left":
            segments, excess = _without_beginning(segments, excess)
            num_truncated += excess == 0
        if excess > 0:
            continue
        row = _build_row(raw["id"], segments, start=start, end=end)
        kept.append(Row(row.id, row.token_ids, row.token_ids) if loss_on == "all" else row)
    _require_targets(kept)
    return Rows(kept, num_dropped=len(raw_rows) - len(kept), num_truncated=num_truncated)


def beginning_tokens(tokenizer: Any) -> list[int]:
    """The beginning-of-sequence token, if this tokenizer puts one before a text by itself."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a")["input_ids"]
    adds_one = len(special) > len(plain) and special[0] == tokenizer.bos_token_id
    return [tokenizer.bos_token_id] if adds_one else []


def _without_beginning(
    segments: list[tuple[list[int], bool]], num_tokens: int
) -> tuple[list[tuple[list[int], bool]], int]:
    """The row without so many tokens of its first question, and how many are still too many.

    One token of the question stays. What is learned is never cut, nor what stands behind it.
    """
    first, is_learned = segments[0]
    num_cut = 0 if is_learned else min(num_tokens, len(first) - 1)
    if num_cut < num_tokens:
        return segments, num_tokens
    return [(first[num_cut:], False), *segments[1:]], 0


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
