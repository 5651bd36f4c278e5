"""What a bench asks for, and whether two cells really did the same."""

from collections.abc import Sequence
from typing import Any

from bakeoff.schema.bench import BenchCell

_SAME = {
    "num_steps": "optimiser steps",
    "rows_per_step": "rows a step",
    "num_label_tokens": "label tokens",
    "num_trained_parameters": "trained parameters",
    "weight_dtype": "number format of the weights",
    "trained_dtype": "number format of what is trained",
    "device": "device",
    "precision": "number format",
}


def why_not_the_same(own: BenchCell, other: BenchCell) -> str | None:
    """Why a ratio of the two would say nothing; None: they did the same work."""
    if own.digest is None or other.digest is None:
        who = own.name if own.digest is None else other.name
        return f"it is not known what token ids and labels {who} worked on"
    if own.digest != other.digest:
        return "they did not work on the same token ids and labels in the same order"
    for name, words in _SAME.items():
        ours, theirs = own.facts.get(name), other.facts.get(name)
        if ours is not None and theirs is not None and ours != theirs:
            return f"{words}: {own.name} has {ours}, {other.name} {theirs}"
    return None


def work_of(cells: Sequence[BenchCell], *, model: str, data: str) -> dict[str, Any]:
    """What all cells have alike; None where they do not."""
    names = (
        "num_examples", "num_train_tokens", "num_label_tokens", "num_steps", "rows_per_step",
        "batch_size", "weight_dtype",
    )  # fmt: skip
    done = [cell for cell in cells if cell.facts]
    work: dict[str, Any] = {"model": model, "data": data}
    digests = {cell.digest for cell in done}
    work["digest"] = next(iter(digests)) if len(digests) == 1 else None
    for name in names:
        values = {repr(cell.facts.get(name)): cell.facts.get(name) for cell in done}
        work[name] = next(iter(values.values())) if len(values) == 1 else None
    return work
