"""The rows that a framework is given: as text, in the order in which the built-in trainer has them.

The framework makes the token ids itself. What they must come to is known here, so that it can be
compared while it trains (``framework_seen.py``).
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.worker.batches import Order
from bakeoff.worker.rows import Row, Rows, beginning_tokens

Turn = tuple[str, str]
"""What is read, and then what is learned."""


@dataclass(frozen=True)
class Sequence:
    """All rows of a training, one after the other, as one epoch."""

    rows: list[Row]
    """The rows of the split; a row may come up several times below."""

    indices: list[int]
    num_steps: int
    rows_per_step: int

    def of_step(self, step: int) -> list[Row]:
        """The rows of a step, counted from 1."""
        last = step * self.rows_per_step
        return [self.rows[index] for index in self.indices[last - self.rows_per_step : last]]

    def digest(self) -> str:
        """SHA-256 over token ids and labels, as ``batches.digest_order`` makes it."""
        encoded = [row.to_bytes() for row in self.rows]
        sha = hashlib.sha256()
        for index in self.indices:
            sha.update(encoded[index])
        return sha.hexdigest()


def sequence(rows: Rows, order: Order, num_steps: int) -> Sequence:
    """The order of training.

    A framework fills the last step of each epoch but the very last with rows of the next one, where
    the built-in trainer makes a smaller step; equal where the rows divide evenly into steps.
    """
    indices: Iterable[int] = itertools.chain.from_iterable(order.steps(0, num_steps))
    if not is_even(order, num_steps):
        wanted = num_steps * order.rows_per_step
        endless = itertools.chain.from_iterable(order.steps(0, wanted))
        indices = itertools.islice(endless, wanted)
    return Sequence(rows.rows, list(indices), num_steps, order.rows_per_step)


def is_even(order: Order, num_steps: int) -> bool:
    """Whether every step of several epochs is full."""
    return num_steps <= order.steps_per_epoch or order.num_rows % order.rows_per_step == 0


def write_messages(
    path: Path, raw_rows: list[dict[str, Any]], kept: Sequence, *, begin: str, end: str, plain: str
) -> None:
    """Write the rows as conversations of alternating user and assistant, one a line.

    Args:
        path: of the JSONL file.
        raw_rows: all rows of the split, as they lie on disk.
        kept: those that are used, in order.
        begin: put before the first text.
        end: put behind the last.
        plain: taken away from the beginning of a text that has it already (a chat template).
    """
    by_id = {raw["id"]: raw for raw in raw_rows}
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for index in kept.indices:
            turns = list(_turns(by_id[kept.rows[index].id]["segments"]))
            messages = _messages(turns, begin=begin, end=end, plain=plain)
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def beginning_text(tokenizer: Any) -> str:
    """The text of the token that this tokenizer puts before a text by itself; mostly none."""
    return str(tokenizer.bos_token) if beginning_tokens(tokenizer) else ""


def _turns(segments: list[dict[str, Any]]) -> Iterator[Turn]:
    """Pairs of text; the end-of-sequence token, which is learned, makes a last pair if need be."""
    read = ""
    for segment in segments:
        if segment["loss"]:
            yield read, segment["text"]
            read = ""
        else:
            read += segment["text"]
    if read:
        yield read, ""


def _messages(turns: list[Turn], *, begin: str, end: str, plain: str) -> list[dict[str, str]]:
    texts = [text for turn in turns for text in turn]
    first = 0 if texts[0] else 1
    texts[first] = texts[first].removeprefix(plain) if plain else texts[first]
    texts[0] = begin + texts[0]
    texts[-1] += end
    roles = itertools.cycle(("user", "assistant"))
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
