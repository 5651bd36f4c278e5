"""What one profiled step told of the exchange between processes."""

from collections.abc import Mapping
from typing import Any

from bakeoff.schema.record import Exchange


def exchange_of(told: Mapping[str, Any] | None, formula_bytes: int | None) -> Exchange:
    """Formula and measurement side by side.

    Args:
        told: What the worker wrote; None: it did not come so far.
        formula_bytes: By the method.
    """
    if told is None:
        return Exchange(formula_bytes=formula_bytes)
    seconds = told["step_seconds"]
    return Exchange(
        formula_bytes=formula_bytes,
        measured_bytes=told["num_bytes"],
        bytes_by_collective=told["bytes_by_collective"],
        share_of_step=round(min(1.0, told["seconds"] / seconds), 4) if seconds else None,
    )
