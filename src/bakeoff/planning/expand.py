"""Matrix expansion: one recipe tree becomes one validated recipe a cell."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from bakeoff.base.errors import UserError
from bakeoff.planning.devices import settle_devices
from bakeoff.planning.problems import InvalidRecipe, document_in, problems_of_validation
from bakeoff.schema.document import Document
from bakeoff.schema.plan import AxisValue, Problem
from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_train import ADAPTER_METHODS, Method

ALWAYS_IN_CELL = ("backend", "method", "strategy", "world_size", "seed")
MAX_CELLS = 1000
"""More cells than this are a slip (a seed list pasted twice), not a study."""

Key = tuple[str, ...]
Tree = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One point of the matrix."""

    recipe: Recipe
    axes: dict[str, AxisValue]


@dataclass(frozen=True)
class Matrix:
    cells: tuple[Cell, ...]
    varying: tuple[str, ...]
    """Axes with more than one value, in the order of the recipe."""


def expand(tree: Tree) -> Matrix:
    """Spell out every cell.

    A list where the recipe wants a scalar is an axis; a mapping from method to value where it
    wants a scalar is chosen by the cell's method (and may hold lists, which are axes of that
    method alone).

    Raises:
        InvalidRecipe: with every problem found, each naming its dotted key.
    """
    axes = dict(_find_axes(tree))
    _limit(axes)
    cells: dict[str, Cell] = {}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        for cell_tree, by_method in _by_method(_with(tree, chosen)):
            cell = _validate(cell_tree, {**chosen, **by_method}, several=len(axes) > 0)
            cells.setdefault(cell.recipe.model_dump_json(), cell)
    unique = _drop_idle_duplicates(list(cells.values()))
    return Matrix(tuple(unique), _varying(unique))


def _find_axes(tree: Tree) -> Iterator[tuple[Key, list[Any]]]:
    for key, field, value in _fields(Recipe, tree, ()):
        if isinstance(value, list) and not _is_value(field, value):
            if not value:
                raise InvalidRecipe([Problem(key=".".join(key), message="the list is empty")])
            yield key, value


def _fields(model: type[Document], tree: Tree, above: Key) -> Iterator[tuple[Key, FieldInfo, Any]]:
    """Every known key with its field, parts of the recipe (`train:`) entered."""
    for name, value in tree.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        part = document_in(field.annotation)
        if part is not None and isinstance(value, Mapping):
            yield from _fields(part, dict(value), (*above, name))
        else:
            yield (*above, name), field, value


def _is_value(field: FieldInfo, value: Any) -> bool:
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return _wants_list(field) and not any(isinstance(item, list) for item in value)
    return True


def _wants_list(field: FieldInfo) -> bool:
    """A list given for a list-valued key is that value, if a wrong one: let validation say so."""
    options = [field.annotation, *get_args(field.annotation)]
    return any(getattr(option, "__origin__", None) is tuple for option in options)


def _by_method(tree: Tree) -> Iterator[tuple[Tree, dict[Key, Any]]]:
    """Choose `{lora: x, full: y}` by the tree's method; lists inside are axes."""
    method = tree.get("method", Recipe.model_fields["method"].default)
    choices: dict[Key, list[Any]] = {}
    axes: set[Key] = set()
    for key, field, value in _fields(Recipe, tree, ()):
        if not _is_by_method(field, value):
            continue
        if method not in value:
            raise InvalidRecipe([_no_value_for(method, key, value)])
        chosen = value[method]
        is_axis = isinstance(chosen, list) and not _is_value(field, chosen)
        choices[key] = chosen if is_axis else [chosen]
        if is_axis:
            axes.add(key)
    for values in itertools.product(*choices.values()):
        picked = dict(zip(choices, values, strict=True))
        yield _with(tree, picked), {key: value for key, value in picked.items() if key in axes}


def _is_by_method(field: FieldInfo, value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and set(value) <= set(get_args(Method))
        and document_in(field.annotation) is None
    )


def _no_value_for(method: Any, key: Key, value: Mapping[str, Any]) -> Problem:
    name = ".".join(key)
    return Problem(
        key=name,
        message=f"no value for the method `{method}`; got one for {', '.join(sorted(value))}",
        hint=f"add `{method}:` under `{name}`",
    )


def _with(tree: Tree, values: Mapping[Key, Any]) -> Tree:
    result = dict(tree)
    for key, value in values.items():
        target = result
        for part in key[:-1]:
            target[part] = dict(target[part])
            target = target[part]
        target[key[-1]] = value
    return result


def _validate(tree: Tree, chosen: Mapping[Key, Any], *, several: bool) -> Cell:
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise InvalidRecipe(problems_of_validation(error, Recipe, chosen if several else {})) from (
            None
        )
    recipe = settle_devices(recipe, several_strategies=("strategy",) in chosen)
    axes: dict[str, AxisValue] = {name: getattr(recipe, name) for name in ALWAYS_IN_CELL}
    for key, value in chosen.items():
        axes.setdefault(".".join(key), _axis_value(value))
    if "nodes" in axes:
        axes["nodes"] = recipe.nodes
    return Cell(recipe, axes)


def _axis_value(value: Any) -> AxisValue:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping) and "source" in value:
        return str(value["source"])
    return json.dumps(value, ensure_ascii=False)


def _drop_idle_duplicates(cells: Sequence[Cell]) -> list[Cell]:
    """`lora.rank: [8, 16]` does not make two cells of full fine-tuning: one of them is enough."""
    kept: dict[str, Cell] = {}
    for cell in cells:
        idle = _idle_parts(cell.recipe)
        axes = {name: value for name, value in cell.axes.items() if _part(name) not in idle}
        unused = {part: Recipe.model_fields[part].get_default() for part in idle}
        own = {
            name: value for name, value in cell.recipe.extra.items() if name == cell.recipe.backend
        }
        recipe = cell.recipe.model_copy(update={**unused, "extra": own})
        kept.setdefault(recipe.model_dump_json(), Cell(recipe, axes))
    return list(kept.values())


def _idle_parts(recipe: Recipe) -> set[str]:
    """Parts that the method does not read."""
    read = {"lora"} if recipe.method in ADAPTER_METHODS else {recipe.method}
    return {"lora", "freeze"} - read


def _part(axis: str) -> str:
    return axis.partition(".")[0]


def _varying(cells: Sequence[Cell]) -> tuple[str, ...]:
    names = dict.fromkeys(name for cell in cells for name in cell.axes)
    return tuple(
        name for name in names if len({json.dumps(cell.axes.get(name)) for cell in cells}) > 1
    )


def _limit(axes: Mapping[Key, Sequence[Any]]) -> None:
    number = 1
    for values in axes.values():
        number *= len(values)
    if number > MAX_CELLS:
        sizes = ", ".join(f"{'.'.join(key)} has {len(values)}" for key, values in axes.items())
        raise UserError(
            f"the recipe asks for {number} cells ({sizes}); at most {MAX_CELLS} are allowed",
            hint="shorten a list, or split the study in two",
        )
