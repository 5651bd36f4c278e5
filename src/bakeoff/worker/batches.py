"""Which rows a step learns from, and how they become tensors."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from bakeoff.worker.failures import JobError
from bakeoff.worker.rows import IGNORED, Row, RowList


@dataclass(frozen=True)
class Batch:
    """Rows of one forward pass: packed into one line, or padded to a rectangle.

    ``T`` is the length of a line, ``N`` the number of label tokens.
    """

    token_ids: torch.Tensor
    """(lines, T)"""

    position_ids: torch.Tensor
    """(lines, T); starts anew with every row."""

    attention_mask: torch.Tensor | None
    """(lines, T), 1 where there is a token; None when packed."""

    row_lengths: tuple[int, ...]
    target_lines: torch.Tensor
    """(N,) the line of the token before each label token: where its prediction stands."""

    kept_columns: torch.Tensor
    """The columns in which any label token is predicted: where logits are needed."""

    target_places: torch.Tensor
    """(N,) likewise its column, as an index into ``kept_columns``."""

    targets: torch.Tensor
    """(N,) the label tokens."""

    @property
    def num_tokens(self) -> int:
        return sum(self.row_lengths)

    def rows(self) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids and labels of each row, as they can be read off these tensors."""
        labels = torch.full_like(self.token_ids, IGNORED)
        columns = self.kept_columns[self.target_places]
        labels[self.target_lines, columns + 1] = self.targets
        if self.attention_mask is None:
            ids, learned = (lines[0].split(self.row_lengths) for lines in (self.token_ids, labels))
        else:
            ids, learned = (
                tuple(line[:length] for line, length in zip(lines, self.row_lengths, strict=True))
                for lines in (self.token_ids, labels)
            )
        return [row.tolist() for row in ids], [row.tolist() for row in learned]

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self
        moved = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in vars(self).items()
        }
        return Batch(**moved)


def pack(rows: list[Row]) -> Batch:
    """All rows one after the other in a single line."""
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row.token_ids))
    targets = [
        (start + index - 1, label)
        for start, row in zip(starts, rows, strict=False)
        for index, label in enumerate(row.labels)
        if index > 0 and label != IGNORED
    ]
    columns, labels = zip(*targets, strict=True)
    return Batch(
        token_ids=torch.tensor([[token for row in rows for token in row.token_ids]]),
        position_ids=torch.cat([torch.arange(len(row.token_ids)) for row in rows])[None],
        attention_mask=None,
        row_lengths=tuple(len(row.token_ids) for row in rows),
        target_lines=torch.zeros(len(labels), dtype=torch.long),
        kept_columns=torch.tensor(columns),
        target_places=torch.arange(len(labels)),
        targets=torch.tensor(labels),
    )


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
        row_lengths=lengths,
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
    first = 0
    for line, length in enumerate(batch.row_lengths):
        packed = batch.attention_mask is None
        last_columns[(0, first + length - 2) if packed else (line, length - 2)] = line
        first += length
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
