"""The JSON schema of a recipe file, as editors want it."""

from typing import Any, get_args

from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_train import Method

_FIXED = {"name"}
"""Keys that cannot be an axis."""

_ONE_FOR_ALL = {
    "HubSpec", "PlacesSpec", "RaySpec", "SlurmSpec", "SearchSpec", "BudgetSpec", "ConfirmSpec",
    "Dimension", "TransferSpec",
}  # fmt: skip
"""Blocks that are the same for every cell of a study."""


def recipe_json_schema() -> dict[str, Any]:
    """Of the file, not of one cell: scalars may be lists or chosen by method."""
    schema = Recipe.model_json_schema()
    definitions = schema.pop("$defs")
    for name, definition in definitions.items():
        spread = _spread_list_only if name in _ONE_FOR_ALL else _spread
        definition["properties"] = spread(definition.get("properties", {}))
        if name in ("ModelSpec", "DataSpec"):
            definitions[name] = {"anyOf": [{"type": "string"}, definition]}
        if name == "Dimension":  # a list is choices, and a condition may name one value
            several = definition["properties"]["when"]["additionalProperties"]
            definition["properties"]["when"]["additionalProperties"] = _one_or_list(several)
            definitions[name] = {"anyOf": [{"type": "array", "minItems": 1}, definition]}
    properties = {
        "extends": {
            "type": "string",
            "description": "Path of a recipe to start from; keys here replace its keys.",
        },
        **_spread(schema["properties"]),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bakeoff recipe",
        "properties": properties,
        "required": [] if "extends" in properties else schema.get("required", []),
        "$defs": definitions,
    }


def _spread(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: _one_or_many(name, field) for name, field in properties.items()}


def _spread_list_only(properties: dict[str, Any]) -> dict[str, Any]:
    """No axes; a list-valued key takes one entry without its brackets."""
    return {
        name: _one_or_list(field) if field.get("type") == "array" else field
        for name, field in properties.items()
    }


def _one_or_list(field: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [field["items"], field]}


def _one_or_many(name: str, field: dict[str, Any]) -> dict[str, Any]:
    if name in _FIXED or _is_part(field):
        return field
    keywords = ("description", "default", "title")
    outer = {key: field[key] for key in keywords if key in field}
    scalar = {key: value for key, value in field.items() if key not in keywords}
    many = {"type": "array", "items": scalar, "minItems": 1}
    by_method = {
        "type": "object",
        "properties": {method: {"anyOf": [scalar, many]} for method in get_args(Method)},
        "additionalProperties": False,
        "minProperties": 1,
    }
    # A list-valued key takes one entry without its brackets, see ``EvalSpec``.
    single = [scalar["items"]] if scalar.get("type") == "array" else []
    return {**outer, "anyOf": [*single, scalar, many, by_method]}


def _is_part(field: dict[str, Any]) -> bool:
    """A block of the recipe (`train:`) rather than a value."""
    return str(field.get("$ref", "")).startswith("#/$defs/")
