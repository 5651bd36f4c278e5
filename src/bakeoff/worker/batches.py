"""Which rows a step learns from, and how they become tensors."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from bakeoff.worker.failures import JobError
from bakeoff.worker.layout import Layout, num_common
from bakeoff.worker.rows import IGNORED, Row, RowList

_FEWEST_SHARED = 8
"""Shared tokens: with fewer, putting their keys before those of each row costs what they save."""


@dataclass(frozen=True)
class Batch:
    """Rows of one forward pass: packed into one line, or padded to a rectangle.

    ``T`` is the length of a line, ``N`` the number of label tokens.
    """

    token_ids: torch.Tensor
    """(lines, T)"""

    position_ids: torch.Tensor
    """(lines, T); of each token in its own row."""

    attention_mask: torch.Tensor | None
    """(lines, T), 1 where there is a token; None when packed."""

    layout: Layout
    target_lines: torch.Tensor
    """(N,) the line of the token before each label token: where its prediction stands."""

    kept_columns: torch.Tensor
    """The columns in which any label token is predicted: where logits are needed."""

    target_places: torch.Tensor
    """(N,) likewise its column, as an index into ``kept_columns``."""

    targets: torch.Tensor
    """(N,) the label tokens."""

    def rows(self) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids and labels of each row, as they can be read off these tensors."""
        labels = torch.full_like(self.token_ids, IGNORED)
        columns = self.kept_columns[self.target_places]
        labels[self.target_lines, columns + 1] = self.targets
        ids, learned = self._by_row(self.token_ids), self._by_row(labels)
        return [row.tolist() for row in ids], [row.tolist() for row in learned]

    def _by_row(self, lines: torch.Tensor) -> list[torch.Tensor]:
        lengths, num_shared = self.layout
        if self.attention_mask is not None:
            return [line[:length] for line, length in zip(lines, lengths, strict=True)]
        shared = lines[0, :num_shared]
        return [
            torch.cat([shared, lines[0, start + num_shared : start + length]])
            for start, length in zip(self.layout.starts, lengths, strict=True)
        ]

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self
        moved = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in vars(self).items()
        }
        return Batch(**moved)


def pack(rows: list[Row], *, share: bool = False) -> Batch:
    """All rows one after the other in a single line.

    Args:
        rows: at least one, each with a label.
        share: what all rows begin with stands there once.
    """
    num_shared = _num_shared(rows) if share else 0
    layout = Layout(tuple(len(row.token_ids) for row in rows), num_shared)
    targets = [
        (start + index - 1, label)
        for start, row in zip(layout.starts, rows, strict=True)
        for index, label in enumerate(row.labels)
        if index > 0 and label != IGNORED
    ]
    columns, labels = zip(*targets, strict=True)
    shared = rows[0].token_ids[:num_shared]
    positions = [torch.arange(num_shared, length) for length in layout.row_lengths]
    return Batch(
        token_ids=torch.tensor([shared + [t for row in rows for t in row.token_ids[num_shared:]]]),
        position_ids=torch.cat([torch.arange(num_shared), *positions])[None],
        attention_mask=None,
        layout=layout,
        target_lines=torch.zeros(len(labels), dtype=torch.long),
        kept_columns=torch.tensor(columns),
        target_places=torch.arange(len(labels)),
        targets=torch.tensor(labels),
    )


def _num_shared(rows: list[Row]) -> int:
    """How many tokens all rows begin with, up to the first that predicts a label in any of them."""
    if len(rows) == 1:
        return 0
    equal = num_common([row.token_ids for row in rows])
    for row in rows:
        labels = enumerate(row.labels)
        equal = min(equal, next(i - 1 for i, label in labels if i > 0 and label != IGNORED))
    return equal if equal >= _FEWEST_SHARED else 0


def pad(rows: list[Row], *, pad_token: int) -> Batch:
    """One row a line, filled up on the right."""
    lengths = tuple(len(row.token_ids) for row in rows)
    width = max(lengths)
    targets = [
        (line, index - 1, label)
        for line, row in enumerate(rows)
        for index, label in enumerate(row.labels)
        if index > 0 and label != IGNORED
    ]
    lines, columns, labels = zip(*targets, strict=True)
    columns_of_line = torch.arange(width)
    kept, places = torch.tensor(columns).unique(return_inverse=True)
    return Batch(
        token_ids=torch.tensor(
            [row.token_ids + [pad_token] * (width - len(row.token_ids)) for row in rows]
        ),
        position_ids=columns_of_line.expand(len(rows), width),
        attention_mask=(columns_of_line < torch.tensor(lengths)[:, None]).long(),
        layout=Layout(lengths),
        target_lines=torch.tensor(lines),
        kept_columns=kept,
        target_places=places,
        targets=torch.tensor(labels),
    )


@dataclass(frozen=True)
class Order:
    """Which rows each optimiser step takes: every epoch all rows, in an order of its own."""

    num_rows: int
    rows_per_step: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """The last, smaller step of an epoch counts."""
        return math.ceil(self.num_rows / self.rows_per_step)

    def count_steps(self, num_epochs: float, max_steps: int | None) -> int:
        """Steps of a whole training; a begun step of a fractional epoch counts."""
        return max_steps or math.ceil(num_epochs * self.steps_per_epoch)

    def steps(self, start: int, stop: int) -> Iterator[list[int]]:
        """Row numbers of the steps from ``start`` (counted from 0) up to ``stop``."""
        epoch, order = -1, []
        for step in range(start, stop):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self._order(epoch)
            first = step % self.steps_per_epoch * self.rows_per_step
            yield order[first : first + self.rows_per_step]

    def _order(self, epoch: int) -> list[int]:
        digest = hashlib.sha256(f"{self.seed},{epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        return torch.randperm(self.num_rows, generator=generator).tolist()


def digest_order(rows: RowList, order: Order, num_steps: int) -> str:
    """SHA-256 over the token ids and labels of all rows in the order of training."""
    sha = hashlib.sha256()
    for indices in order.steps(0, num_steps):
        for index in indices:
            sha.update(rows[index].to_bytes())
    return sha.hexdigest()


def micro_batches(rows: RowList, size: int, *, by_length: bool) -> list[list[Row]]:
    """Portions of at most ``size`` rows; ``by_length`` keeps padding small."""
    if by_length:
        rows = sorted(rows, key=lambda row: len(row.token_ids))
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def cut(rows: list[Row], max_tokens: int) -> list[list[Row]]:
    """The rows, in their order, in portions of at most so many tokens; a longer row is alone."""
    portions: list[list[Row]] = []
    num_tokens = 0
    for row in rows:
        num_tokens += len(row.token_ids)
        if not portions or num_tokens > max_tokens:
            portions.append([])
            num_tokens = len(row.token_ids)
        portions[-1].append(row)
    return portions


def check_supervision(batch: Batch, end_token: int) -> None:
    """Make sure that every row of the batch ends with a learned end-of-sequence token.

    A model that never learns to stop answers on and on, which no loss curve shows.

    Raises:
        JobError: a row does not.
    """
    last_columns: dict[Any, int] = {}
    packed = batch.attention_mask is None
    lengths = zip(batch.layout.starts, batch.layout.row_lengths, strict=True)
    for line, (start, length) in enumerate(lengths):
        last_columns[(0, start + length - 2) if packed else (line, length - 2)] = line
    columns = batch.kept_columns[batch.target_places]
    places = zip(batch.target_lines.tolist(), columns.tolist(), strict=True)
    for place, target in zip(places, batch.targets.tolist(), strict=True):
        if target == end_token:
            last_columns.pop(place, None)
    if last_columns:
        raise JobError(
            f"Row {min(last_columns.values())} of the first batch does not end with a learned "
            f"end-of-sequence token ({end_token}): the model would never learn to stop."
        )
