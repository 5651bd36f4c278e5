"""What a framework really feeds its model, compared with the rows that it was given."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch

from bakeoff.worker.framework_rows import Sequence
from bakeoff.worker.rows import IGNORED, Row

_DIVISOR = "num_items_in_batch"
"""What transformers' trainer calls the number of label tokens in all batches of a step."""


@dataclass(frozen=True)
class StepCounts:
    """Of one optimiser step."""

    num_rows: int
    num_tokens: int
    num_label_tokens: int
    divisor: int | None
    """What the framework divides the summed loss by; None where it does not tell the model."""


class Seen:
    """Collects the batches of each step as they enter the model, but rows that teach nothing.

    Tensors are kept as they are and looked at after the step, since reading them earlier would make
    the device wait.
    """

    def __init__(self, expected: Sequence, *, rank: int = 0, num_processes: int = 1) -> None:
        self._expected = expected
        self._rank, self._num_processes = rank, num_processes
        self._batches: list[dict[str, torch.Tensor]] = []
        self._sha = hashlib.sha256()
        self.difference: str | None = None
        """The first difference from what was prepared; None: there is none."""

    def watch(self, model: torch.nn.Module) -> None:
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def end_step(self, step: int) -> StepCounts:
        """Of the step that has just been done."""
        found = [seen for batch in self._batches for seen in _rows_of(batch) if seen[0].num_targets]
        rows = [row for row, _ in found]
        divisor = self._batches[-1].get(_DIVISOR) if self._batches else None
        self._batches.clear()
        for row in rows:
            self._sha.update(row.to_bytes())
        if self.difference is None:
            mine = self._expected.of_process(step, self._rank, self._num_processes)
            self.difference = _difference(found, mine, step)
        if self._num_processes > 1:
            # The others compare theirs; where one differs, the end of the training tells.
            rows = self._expected.of_step(step)
        return StepCounts(
            len(rows),
            sum(len(row.token_ids) for row in rows),
            sum(row.num_targets for row in rows),
            None if divisor is None else int(divisor),
        )

    def differs(self, text: str) -> None:
        """Another process saw other rows than prepared."""
        self.difference = self.difference or text

    def digest(self) -> str | None:
        """Of ids and labels in this attempt's order; None where they are those prepared."""
        return None if self.difference is None else self._sha.hexdigest()

    def _note(self, model: torch.nn.Module, _: Any, inputs: dict[str, Any]) -> None:
        if model.training:
            names = ("input_ids", "labels", "attention_mask", _DIVISOR)
            self._batches.append({name: inputs[name] for name in names if name in inputs})


def _rows_of(batch: dict[str, torch.Tensor]) -> list[tuple[Row, bool]]:
    """Rows without their padding, and whether the framework gave labels for all of their tokens."""
    ids, labels = batch["input_ids"].cpu(), batch["labels"].cpu()
    mask = batch.get("attention_mask")
    present = torch.ones_like(ids) if mask is None or mask.dim() != 2 else mask.cpu()
    whole = labels.shape == ids.shape
    rows = []
    for line in range(len(ids)):
        here = present[line].bool()
        row_labels = labels[line][here] if whole else labels[line]
        rows.append((Row("", ids[line][here].tolist(), row_labels.tolist()), whole))
    return rows


def _difference(found: list[tuple[Row, bool]], expected: list[Row], step: int) -> str | None:
    if len(found) != len(expected):
        return f"step {step} took {len(found)} rows, not {len(expected)}"
    for (row, is_whole), other in zip(found, expected, strict=True):
        if row.token_ids != other.token_ids:
            place = _first_difference(row.token_ids, other.token_ids)
            return f"row `{other.id}` has other token ids from token {place} on"
        # No model predicts the first token, so its label means nothing.
        if is_whole and row.labels[1:] != other.labels[1:]:
            place = _first_difference(row.labels[1:], other.labels[1:]) + 1
            return f"row `{other.id}` has other labels from token {place} on"
        if row.num_targets != other.num_targets:
            learned = sum(label != IGNORED for label in row.labels)
            return f"row `{other.id}` has {learned} labels, not {other.num_targets}"
    return None


def _first_difference(one: list[int], other: list[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
