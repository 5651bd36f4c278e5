"""Rows on disk become token ids and labels, all of a chunk at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bakeoff.worker.encoding import Encoder, Tokens
from bakeoff.worker.failures import JobError
from bakeoff.worker.row_table import Numbers, Parts, RowTable, begins_of, names_parts, sums
from bakeoff.worker.rows import Rows, beginning_tokens, end_token


def tokenize(
    raw_rows: Sequence[dict[str, Any]],
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
    built = build(
        raw_rows,
        Encoder(tokenizer)(texts_of(raw_rows)),
        (beginning_tokens(tokenizer), end_token(tokenizer)),
        max_length=max_length,
        overlong=overlong,
        loss_on=loss_on,
    )
    return Rows(*built)


def texts_of(raw_rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is encoded: every segment of every row, one after the other."""
    return [segment["text"] for raw in raw_rows for segment in raw["segments"]]


class Built(NamedTuple):
    """The rows that are used, and what is told of the others."""

    table: RowTable
    num_dropped: int
    num_truncated: int


def build(
    raw_rows: Sequence[dict[str, Any]],
    tokens: Tokens,
    edges: tuple[list[int], int],
    *,
    max_length: int,
    overlong: str,
    loss_on: str,
) -> Built:
    """Rows of the tokens of their segments, with tokens before and a token behind them.

    The rest is as with :func:`tokenize`.
    """
    start, _ = edges
    num_segments = np.array([len(raw["segments"]) for raw in raw_rows], np.int64)
    is_learned = np.array([s["loss"] for raw in raw_rows for s in raw["segments"]], np.bool_)
    segment_lengths = np.diff(tokens.ends, prepend=0)
    first = np.cumsum(num_segments) - num_segments
    begins = tokens.ends[first] - segment_lengths[first]
    # A chat template writes the start itself; the harness, too, puts no second one before it.
    cut = len(start) * _has_start(tokens.ids, begins, segment_lengths[first], start)
    lengths = len(start) + sums(segment_lengths, first) - cut + 1
    excess = np.maximum(lengths - max_length, 0)
    if overlong == "error" and excess.any():
        row = int(np.flatnonzero(excess)[0])
        raise JobError(
            f"Row `{raw_rows[row]['id']}` has {lengths[row]} tokens, more than `train.max_length` "
            f"({max_length}). Raise that, or set `train.overlong: drop`."
        )
    truncated = np.zeros(len(raw_rows), np.bool_)
    if overlong == "truncate-prompt-left":
        # One token of the question stays. What is learned is never cut, nor what is behind it.
        spare = np.where(is_learned[first], 0, segment_lengths[first] - cut - 1)
        truncated = (excess > 0) & (excess <= spare)
        cut += excess * truncated
        lengths -= excess * truncated
    kept = (excess == 0) | truncated

    used = np.repeat(np.repeat(kept, num_segments), segment_lengths)
    for row in np.flatnonzero(cut).tolist():
        used[begins[row] : begins[row] + cut[row]] = False
    parts = _between_edges(
        tokens.ids[used],
        np.repeat(is_learned, segment_lengths)[used],
        np.cumsum(lengths[kept]),
        edges,
    )
    if loss_on == "all":
        parts["learned"][:] = True
    names = [raw_rows[row]["id"] for row in np.flatnonzero(kept).tolist()]
    table = RowTable(parts | names_parts(names))
    _require_targets(table)
    return Built(table, int((~kept).sum()), int(truncated.sum()))


def _has_start(
    ids: npt.NDArray[np.int32], begins: Numbers, lengths: Numbers, start: list[int]
) -> npt.NDArray[np.bool_]:
    """Whether these texts begin with the tokens ``start``."""
    found = lengths >= len(start)
    for place, token in enumerate(start):
        found[found] = ids[begins[found] + place] == token
    return found


def _between_edges(
    ids: npt.NDArray[np.int32],
    learned: npt.NDArray[np.bool_],
    ends: Numbers,
    edges: tuple[list[int], int],
) -> Parts:
    """Tokens of rows with those of the edges put in; ``ends`` are those of the longer rows."""
    start, end = edges
    num_tokens = int(ends[-1]) if len(ends) else 0
    begins = begins_of(ends)
    all_ids = np.empty(num_tokens, np.int32)
    all_learned = np.zeros(num_tokens, np.bool_)
    inside = np.ones(num_tokens, np.bool_)
    for place, token in enumerate(start):
        all_ids[begins + place] = token
        inside[begins + place] = False
    all_ids[ends - 1] = end
    inside[ends - 1] = False
    all_ids[inside] = ids
    all_learned[inside] = learned
    all_learned[ends - 1] = True
    return {"token_ids": all_ids, "learned": all_learned, "ends": ends}


def _require_targets(table: RowTable) -> None:
    # The end-of-sequence token alone would teach to answer nothing.
    (too_few,) = np.nonzero(table.num_targets < 2)
    if len(too_few):
        raise JobError(
            f"Row `{table[int(too_few[0])].id}` has no token to learn: its response is empty, or "
            "one token with nothing before it, or no segment of it has `loss: true`. Remove the "
            "row, or name the right columns in the recipe."
        )
