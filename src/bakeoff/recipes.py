"""Recipe files: YAML with ``extends`` and overrides becomes one plain tree that knows its lines."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bakeoff.base.errors import UserError

_PATH_KEYS = {
    ("model",),
    ("model", "source"),
    ("data",),
    ("data", "source"),
    ("data", "train"),
    ("data", "validation"),
    ("data", "test"),
}
"""Keys whose values may name files; made absolute here, where the file that says so is known."""

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class RecipeTree:
    """A recipe as plain dicts, lists and scalars, after ``extends`` and ``--set``."""

    values: dict[str, Any]
    path: Path
    text: str
    """The file as written, for the report."""

    overrides: tuple[str, ...] = ()
    positions: dict[Key, str] = field(default_factory=dict)
    """`file:line:column` (or the override) that set each key."""

    def where(self, key: str) -> str:
        """Where a dotted key, or the nearest key above it, was set."""
        parts: Key = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        while parts:
            if parts in self.positions:
                return self.positions[parts]
            parts = parts[:-1]
        return str(self.path)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> RecipeTree:
    """Read a recipe.

    Args:
        path: The YAML file. Relative paths in it are relative to it.
        overrides: `a.b=c`, the value in YAML; relative paths are relative to the working folder.

    Raises:
        UserError: the file is missing, is not YAML or not a mapping, or an override is no `a.b=c`.
    """
    values, positions, text = _load_file(path, chain=())
    tree = RecipeTree(values, path, text, tuple(overrides), positions)
    for override in overrides:
        _apply_override(tree, override)
    return tree


def _load_file(path: Path, chain: tuple[Path, ...]) -> tuple[dict[str, Any], dict[Key, str], str]:
    resolved = path.resolve()
    if resolved in chain:
        names = " -> ".join(str(link) for link in (*chain, resolved))
        raise UserError(f"{path}: `extends` goes round in a circle: {names}")
    text = _read_text(path)
    node = _parse(text, str(path))
    if not isinstance(node, Mapping):
        raise UserError(
            f"{path}: expected a mapping of keys to values, got {_kind(node)}",
            hint="`bakeoff init quickstart` writes a recipe to start from",
        )
    positions: dict[Key, str] = {}
    values: dict[str, Any] = _plain(node, (), positions, path)
    parent = values.pop("extends", None)
    if parent is None:
        return values, positions, text
    if not isinstance(parent, str):
        raise UserError(f"{positions[('extends',)]}: `extends` must be the path of a recipe")
    parent_path = path.parent / _posix(parent)
    if not parent_path.is_file():
        raise UserError(
            f"{positions[('extends',)]}: `extends` names {parent_path}, which is not there",
            hint="the path is relative to the recipe that says `extends`",
        )
    base, base_positions, _ = _load_file(parent_path, (*chain, resolved))
    return _merge(base, values), {**base_positions, **positions}, text


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise UserError(
            f"no recipe at {path}",
            hint="`bakeoff init` writes one, `bakeoff init --list` names the presets",
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 at byte {error.start}", hint="save the file as UTF-8"
        ) from error


def _parse(text: str, where: str) -> Any:
    try:
        return YAML(typ="rt").load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise UserError(
            f"{place}: not valid YAML: {_first_line(error)}", hint=_yaml_hint(error)
        ) from error
    except YAMLError as error:
        raise UserError(f"{where}: not valid YAML: {error}") from error


def _first_line(error: MarkedYAMLError) -> str:
    return str(error.problem or error.context or error).strip().splitlines()[0]


def _yaml_hint(error: MarkedYAMLError) -> str | None:
    problem = str(error.problem)
    if "escape" in problem:
        return "write Windows paths without quotes or in single quotes: 'C:\\data\\train.jsonl'"
    if "\\t" in problem or "tab" in problem:
        return "indent with spaces, not with tabs"
    if "duplicate key" in problem:
        return "a key may stand only once; remove one of the two"
    return None


def _plain(node: Any, key: Key, positions: dict[Key, str], path: Path) -> Any:
    if isinstance(node, Mapping):
        result = {}
        for name, value in node.items():
            line, column = node.lc.key(name)  # type: ignore[attr-defined]
            positions[(*key, str(name))] = f"{path}:{line + 1}:{column + 1}"
            result[str(name)] = _plain(value, (*key, str(name)), positions, path)
        return result
    if isinstance(node, list):
        return [_plain(value, (*key, index), positions, path) for index, value in enumerate(node)]
    if key in _PATH_KEYS or _is_path_list_item(key):
        return _absolute(node, path.parent)
    return _scalar(node)


def _is_path_list_item(key: Key) -> bool:
    return bool(key) and isinstance(key[-1], int) and key[:-1] in _PATH_KEYS


def _scalar(node: Any) -> Any:
    """Ruamel's round-trip scalars carry their spelling; plain ones are enough from here on."""
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _absolute(value: Any, base: Path) -> Any:
    if not isinstance(value, str) or value.startswith("builtin:"):
        return _scalar(value)
    candidate = base / Path(_posix(value)).expanduser()
    if candidate.exists() or _looks_like_path(value):
        return str(candidate.resolve())
    return str(value)


def _looks_like_path(value: str) -> bool:
    return bool(re.match(r"(\.{1,2}|~)?[/\\]|[A-Za-z]:[/\\]|\.{1,2}$", value)) or bool(
        re.search(r"\.(jsonl?|csv|tsv|parquet|arrow|txt)(\.gz|\.zst|\.bz2|\.xz)?$", value)
    )


def _posix(value: str) -> str:
    """A path as typed on Windows works everywhere."""
    return value.replace("\\", "/")


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _apply_override(tree: RecipeTree, override: str) -> None:
    name, equals, text = override.partition("=")
    parts = tuple(name.strip().split("."))
    if not equals or not all(parts):
        raise UserError(
            f"--set {override}: expected KEY=VALUE", hint="such as --set train.learning_rate=1e-4"
        )
    place = f"--set {override}"
    value = _parse_override(text, place)
    if parts in _PATH_KEYS:
        value = _absolute(value, Path.cwd())
    target = tree.values
    for depth, part in enumerate(parts[:-1]):
        below = target.get(part)
        if isinstance(below, str) and part in ("model", "data") and depth == 0:
            below = {"source": below}
        target[part] = dict(below) if isinstance(below, dict) else {}
        target = target[part]
    target[parts[-1]] = value
    for key in [key for key in tree.positions if key[: len(parts)] == parts]:
        del tree.positions[key]
    tree.positions[parts] = place


def _parse_override(text: str, place: str) -> Any:
    if re.match(r"[A-Za-z]:[/\\]", text):  # a Windows path, not a YAML mapping
        return text
    positions: dict[Key, str] = {}
    return _plain(_parse(text, place), (), positions, Path(place)) if text.strip() else None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "something else")
