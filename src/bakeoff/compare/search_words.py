"""How settings and objectives of a search are written, everywhere the same."""

from collections.abc import Mapping
from typing import Any

from bakeoff.compare import numbers
from bakeoff.schema.recipe_search import Objective

HIGHER_IS_BETTER: frozenset[Objective] = frozenset({"exact_match"})

TITLES: dict[Objective, str] = {
    "validation_loss": "validation loss",
    "exact_match": "exact match (validation)",
    "peak_memory": "peak memory",
    "train_time": "training time",
}


def show_values(values: Mapping[str, Any]) -> str:
    """`learning_rate 0.001, rank 16`."""
    return ", ".join(f"{key.rpartition('.')[2]} {show_value(v)}" for key, v in values.items())


def show_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def show_score(objective: Objective, value: float | None) -> str:
    if value is None:
        return numbers.MISSING
    if objective == "exact_match":
        return numbers.percent(value)
    if objective == "peak_memory":
        return numbers.num_bytes(round(value))
    return numbers.seconds(value) if objective == "train_time" else f"{value:.4f}"
