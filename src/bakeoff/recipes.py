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

_SOURCE_KEYS = {
    ("model",),
    ("model", "source"),
    ("data",),
    ("data", "source"),
    ("places", "runs"),
    ("places", "cache"),
    ("places", "temporary"),
    ("evaluate", "include_path"),
}
_SPLIT_KEYS = {("data", "train"), ("data", "validation"), ("data", "test")}
"""Keys whose values may name files; made absolute here, where the file that says so is known.

A split may also be the name of a file inside the source, which is nobody's path yet.
"""

_TEMPLATE_KEY = ("prompt", "template")
"""A file that is named here is read here: what a study does is its text, not its name."""

_TASK_DATA_KEY = ("evaluate", "task_data")

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class RecipeTree:
    """A recipe as plain dicts, lists and scalars, after ``extends`` and ``--set``."""

    values: dict[str, Any]
    path: Path
    text: str
    """The file as written, and after it those that it extends, for the report."""

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


def make_recipe(values: dict[str, Any], overrides: Sequence[str] = ()) -> RecipeTree:
    """A recipe that stands in no file: ``values``, then the overrides as in :func:`load_recipe`."""
    tree = RecipeTree(values, Path("--set"), "", tuple(overrides))
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
    values: dict[str, Any] = _Reader(path.parent, str(path), positions).read(node, ())
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
    base, base_positions, base_text = _load_file(parent_path, (*chain, resolved))
    both = f"{text.rstrip()}\n\n# {parent}, which the recipe above extends:\n{base_text}"
    return _merge(base, values), {**base_positions, **positions}, both


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise UserError(
            f"no recipe at {path}",
            hint="`bakeoff init` writes one, `bakeoff init --list` names the presets",
        )
    return _read_utf8(path)


def _read_utf8(path: Path) -> str:
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


@dataclass(frozen=True)
class _Reader:
    """Turns ruamel's nodes into plain values and notes where each key was set."""

    base: Path
    """Folder that relative paths start at."""

    name: str
    positions: dict[Key, str]

    def read(self, node: Any, key: Key) -> Any:
        if isinstance(node, Mapping):
            return {str(name): self._read_entry(node, name, key) for name in node}
        if isinstance(node, list):
            return [self.read(value, (*key, index)) for index, value in enumerate(node)]
        if key[:2] == _TEMPLATE_KEY:
            return _template_text(node, self.base, self.positions.get(_TEMPLATE_KEY, self.name))
        place = key[:-1] if key and isinstance(key[-1], int) else key
        if place in _SOURCE_KEYS or place[:2] == _TASK_DATA_KEY:
            return _absolute_source(node, self.base)
        if place[:1] == ("env",):
            return _absolute_interpreter(node, self.base)
        return _absolute_split(node, self.base) if place in _SPLIT_KEYS else _scalar(node)

    def _read_entry(self, node: Any, name: Any, key: Key) -> Any:
        marks = node.lc
        # What a merge key (`<<`) brought in has no place of its own: the mapping's must do.
        line, column = marks.key(name) if name in (marks.data or {}) else (marks.line, marks.col)
        self.positions[(*key, str(name))] = f"{self.name}:{line + 1}:{column + 1}"
        return self.read(node[name], (*key, str(name)))


def _scalar(node: Any) -> Any:
    """Ruamel's round-trip scalars carry their spelling; plain ones are enough from here on."""
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _absolute_source(value: Any, base: Path) -> Any:
    if not isinstance(value, str) or value.startswith("builtin:"):
        return _scalar(value)
    path = base / Path(_posix(value)).expanduser()
    if path.exists() or _is_written_as_path(value) or _FILE_NAME.search(value):
        return str(path.resolve())
    return str(value)


def _absolute_interpreter(value: Any, base: Path) -> Any:
    """Links stay: one in a virtual environment is what makes it that environment."""
    if not isinstance(value, str):
        return _scalar(value)
    path = base / Path(_posix(value)).expanduser()
    return str(path.absolute()) if path.exists() or _is_written_as_path(value) else str(value)


def _absolute_split(value: Any, base: Path) -> Any:
    if not isinstance(value, str):
        return _scalar(value)
    path = base / Path(_posix(value)).expanduser()
    return str(path.resolve()) if path.is_file() or _is_written_as_path(value) else str(value)


def _template_text(value: Any, base: Path, where: str) -> Any:
    if not isinstance(value, str) or value in ("raw", "chat") or "{" in value:
        return _scalar(value)
    path = base / Path(_posix(value)).expanduser()
    if path.is_file():
        return _read_utf8(path)
    raise UserError(
        f"{where}: `prompt.template`: there is no file {path}",
        hint="write `raw`, `chat`, a Jinja template over `messages`, or the name of its file",
    )


_FILE_NAME = re.compile(r"\.(jsonl?|csv|tsv|parquet|arrow|txt)(\.(gz|zst|bz2|xz))?$")


def _is_written_as_path(value: str) -> bool:
    r"""`./x`, `../x`, `~/x`, `/x` or `C:\\x`, `.` and `..`: nobody means a hub's id by that."""
    return bool(re.match(r"(\.{1,2}|~)?[/\\]|[A-Za-z]:[/\\]|\.{1,2}$", value))


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
    value = _parse_override(text, parts, place)
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


def _parse_override(text: str, key: Key, place: str) -> Any:
    if not text.strip():
        return None
    is_drive = re.match(r"[A-Za-z]:[/\\]", text)  # a Windows path, not a YAML mapping
    node = text if is_drive else _parse(text, place)
    return _Reader(Path.cwd(), place, {}).read(node, key)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "something else")
