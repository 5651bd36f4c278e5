"""The rows that a framework is given: as text, in the order in which the built-in trainer has them.

The framework makes the token ids itself. What they must come to is known here, so that it can be
compared while it trains (``framework_seen.py``).
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff.worker.batches import Order
from bakeoff.worker.rows import Row, RowList, Rows, beginning_tokens

Turn = tuple[str, str]
"""What is read, and then what is learned."""


@dataclass(frozen=True)
class FixedTexts:
    """What stands around the texts of every row."""

    begin: str
    """Put before the first text."""

    end: str
    """Put behind the last."""

    known: str
    """Taken away from the beginning of a row that has it already (from a chat template)."""

    filler: list[dict[str, Any]]
    """The messages of a row in which nothing is learned."""


@dataclass(frozen=True)
class Sequence:
    """All rows of a training, one after the other, as one epoch.

    The last step of an epoch may have fewer rows than others. For a framework, to which all is one
    epoch, such a step is filled up with rows in which nothing is learned (None). They change
    nothing: losses and gradients are sums over label tokens.
    """

    rows: RowList
    """The rows of the split; a row may come up several times below."""

    indices: list[int | None]
    num_steps: int
    rows_per_step: int
    num_portions: int = 1
    """Forward passes of one step, over all processes, which take them in turns."""

    def of_step(self, step: int) -> list[Row]:
        """The rows of a step, counted from 1, in which something is learned."""
        return [self.rows[index] for index in self._part(step) if index is not None]

    def of_process(self, step: int, rank: int, num_processes: int) -> list[Row]:
        """Those of them that one process learns from."""
        if num_processes == 1:
            return self.of_step(step)
        part, size = self._part(step), self.rows_per_step // self.num_portions
        return [
            self.rows[index]
            for number, index in enumerate(part)
            if index is not None and number // size % num_processes == rank
        ]

    def dealt(self, num_processes: int) -> "Sequence":
        """In the order for a loader that deals single rows, not passes, to the processes."""
        size = self.rows_per_step // self.num_portions
        taken = size * num_processes
        indices = [
            self.indices[start + who * size + row]
            for start in range(0, len(self.indices), taken)
            for row in range(size)
            for who in range(num_processes)
        ]
        return replace(self, indices=indices)

    def _part(self, step: int) -> list[int | None]:
        last = step * self.rows_per_step
        return self.indices[last - self.rows_per_step : last]

    def digest(self) -> str:
        """SHA-256 over token ids and labels, as ``batches.digest_order`` makes it."""
        sha = hashlib.sha256()
        for index in self.indices:
            if index is not None:
                sha.update(self.rows[index].to_bytes())
        return sha.hexdigest()


def sequence(
    rows: Rows, order: Order, num_steps: int, *, num_portions: int, num_processes: int = 1
) -> Sequence:
    """The order of the built-in trainer, every step but the very last a full one.

    Args:
        rows: of the split.
        order: which of them each step takes.
        num_steps: of the training.
        num_portions: forward passes of one step, over all processes.
        num_processes: where there are several, the very last step is a full one too: what is
            missing from it a framework would take from the beginning.
    """
    steps = list(order.steps(0, num_steps))
    indices: list[int | None]
    alone = num_processes == 1
    if can_fill(order, num_steps, num_portions=num_portions, fills_last=not alone):
        to_fill = steps[:-1] if alone else steps
        filled = (_filled(step, order.rows_per_step, num_portions) for step in to_fill)
        indices = [*itertools.chain.from_iterable(filled), *(steps[-1] if alone else [])]
    else:
        wanted = num_steps * order.rows_per_step
        endless = itertools.chain.from_iterable(order.steps(0, wanted))
        indices = list(itertools.islice(endless, wanted))
    return Sequence(rows.rows, indices, num_steps, order.rows_per_step, num_portions)


def can_fill(order: Order, num_steps: int, *, num_portions: int, fills_last: bool = False) -> bool:
    """Whether each forward pass can have a row that teaches something.

    ms-swift takes the mean over the labels of a pass, which is no number where there are none. Else
    the last step of each epoch but the very last gets rows of the next one.
    """
    num_left = order.num_rows % order.rows_per_step
    num_full = order.steps_per_epoch - fills_last
    return num_steps <= num_full or num_left == 0 or num_left >= num_portions


def _filled(step: list[int], rows_per_step: int, num_portions: int) -> list[int | None]:
    """The rows of a step, in order, spread over its forward passes."""
    size = rows_per_step // num_portions
    filled: list[int | None] = []
    remaining = iter(step)
    for portion in range(num_portions):
        share = len(step) // num_portions + (portion < len(step) % num_portions)
        filled += [*itertools.islice(remaining, share), *[None] * (size - share)]
    return filled


def write_messages(
    path: Path, raw_rows: list[dict[str, Any]], kept: Sequence, texts: FixedTexts
) -> None:
    """Write the rows as conversations of alternating user and assistant, one a line.

    Args:
        path: of the JSONL file.
        raw_rows: all rows of the split, as they lie on disk.
        kept: those that are used, in order.
        texts: what the framework needs around them.
    """
    by_id = {raw["id"]: raw for raw in raw_rows}
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for index in kept.indices:
            messages = texts.filler
            if index is not None:
                messages = _messages(by_id[kept.rows[index].id]["segments"], texts)
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


def _messages(segments: list[dict[str, Any]], fixed: FixedTexts) -> list[dict[str, Any]]:
    texts = [text for turn in _turns(segments) for text in turn]
    first = 0 if texts[0] else 1
    texts[first] = texts[first].removeprefix(fixed.known)
    texts[0] = fixed.begin + texts[0]
    texts[-1] += fixed.end
    roles = itertools.cycle(("user", "assistant"))
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
