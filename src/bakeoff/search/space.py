"""The space of a search: which settings there are, and the recipe with some of them chosen."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bakeoff.schema.recipe_search import Dimension
from bakeoff.schema.search import Values

if TYPE_CHECKING:
    import optuna

Space = Mapping[str, Dimension]
Tree = dict[str, Any]
_DEFAULTS: Values = {"method": "lora", "backend": "builtin", "strategy": "single"}
"""Of keys that conditions ask for and a recipe may leave out."""


def value_at(tree: Tree, key: str) -> Any:
    """What the recipe says under a dotted key; None where it says nothing."""
    here: Any = tree
    for part in key.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return _DEFAULTS.get(key) if here is None else here


def with_values(tree: Tree, values: Values, *, as_axes: bool = False) -> Tree:
    """The recipe with these settings; the given tree stays as it is.

    ``as_axes`` writes each as a list of one, which makes it a part of the cell's name.
    """
    result = dict(tree)
    for key, value in values.items():
        target = result
        *above, last = key.split(".")
        for part in above:
            below = target.get(part)
            if isinstance(below, str):  # `model: ID` stands for `model: {source: ID}`
                below = {"source": below}
            target[part] = dict(below or {})
            target = target[part]
        target[last] = [value] if as_axes else value
    return result


def is_searched(dimension: Dimension, values: Values, tree: Tree) -> bool:
    """Whether the conditions of a setting hold beside those that are chosen already."""
    return all(
        (values[key] if key in values else value_at(tree, key)) in allowed
        for key, allowed in dimension.when.items()
    )


def suggest(trial: "optuna.Trial", space: Space, tree: Tree) -> Values:
    """Let the sampler choose every setting that applies, in the order of the space."""
    values: Values = {}
    for key, dimension in space.items():
        if is_searched(dimension, values, tree):
            values[key] = _suggest_one(trial, key, dimension)
    return values


def _suggest_one(trial: "optuna.Trial", key: str, dimension: Dimension) -> Any:
    if dimension.choices is not None:
        # Optuna's database holds plain scalars; a list of layers is chosen by its place.
        place = trial.suggest_categorical(key, list(range(len(dimension.choices))))
        chosen = dimension.choices[place]
        return list(chosen) if isinstance(chosen, tuple) else chosen
    low, high = _limits(dimension)
    if dimension.whole:
        return trial.suggest_int(key, round(low), round(high), log=dimension.log)
    return float(f"{trial.suggest_float(key, low, high, log=dimension.log):.3g}")


def as_parameters(values: Values, space: Space) -> dict[str, Any] | None:
    """The same settings as Optuna stores them; None when one of them is not in the space."""
    stored: dict[str, Any] = {}
    for key, value in values.items():
        dimension = space[key]
        if dimension.choices is not None:
            if value not in dimension.choices:
                return None
            stored[key] = dimension.choices.index(value)
            continue
        low, high = _limits(dimension)
        if not isinstance(value, int | float) or not low <= value <= high:
            return None
        stored[key] = value
    return stored


def grid(space: Space, tree: Tree) -> Iterator[Values]:
    """Every combination, each once; settings whose conditions do not hold are left out."""
    seen = []
    for combination in itertools.product(*(_points(dimension) for dimension in space.values())):
        values: Values = {}
        for key, value in zip(space, combination, strict=True):
            if is_searched(space[key], values, tree):
                values[key] = value
        if values not in seen:
            seen.append(values)
            yield values


def _points(dimension: Dimension) -> list[Any]:
    if dimension.choices is not None:
        return list(dimension.choices)
    low, high = _limits(dimension)
    shares = [index / (dimension.points - 1) for index in range(dimension.points)]
    if dimension.log:
        values = [math.exp(math.log(low) + s * math.log(high / low)) for s in shares]
    else:
        values = [low + s * (high - low) for s in shares]
    # Rounding must not carry the ends out of the range.
    rounded = [min(max(float(f"{value:.3g}"), low), high) for value in values]
    whole = [round(value) for value in rounded]
    return list(dict.fromkeys(whole if dimension.whole else rounded))


def _limits(dimension: Dimension) -> tuple[float, float]:
    if dimension.low is None or dimension.high is None:
        raise AssertionError("a dimension without choices has limits")
    return dimension.low, dimension.high
