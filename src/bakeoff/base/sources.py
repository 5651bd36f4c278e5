"""What the `source` of a recipe names: something built in, on disk, or on a hub."""

import difflib
import re
from pathlib import Path
from typing import Literal

from bakeoff.base.errors import UserError

SourceKind = Literal["builtin", "local", "hub"]

BUILTIN_PREFIX = "builtin:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILE_SUFFIXES = frozenset(
    {".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".txt"}
    | {".gz", ".bz2", ".xz", ".zst", ".zip"}
    | {".safetensors", ".bin", ".pt", ".gguf"}
)


def resolve_path(text: str, base_dir: Path) -> Path:
    """The path that a recipe in ``base_dir`` means; back-slashes separate as on Windows."""
    path = base_dir / Path(text).expanduser()
    if "\\" in text and not path.exists():
        path = base_dir / Path(text.replace("\\", "/")).expanduser()
    return path


def source_kind(source: str, base_dir: Path, *, key: str) -> SourceKind:
    """Where ``source`` is to be found; what stands on disk goes before a hub's id of the same form.

    Args:
        source: As the recipe has it.
        base_dir: Folder of the recipe.
        key: Name of the recipe's key, for the message.

    Raises:
        UserError: It names nothing on disk and cannot be a hub's id.
    """
    if source.startswith(BUILTIN_PREFIX):
        return "builtin"
    path = resolve_path(source, base_dir)
    if path.exists():
        return "local"
    if _HUB_ID.fullmatch(source) and Path(source).suffix.lower() not in _FILE_SUFFIXES:
        return "hub"
    raise UserError(
        f"`{key}: {source}` names no file or folder: there is no {path}",
        hint=near_names_hint(path),
    )


def near_names_hint(path: Path) -> str:
    """What stands where ``path`` was looked for, closest names first."""
    folder = next(parent for parent in path.parents if parent.exists())
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    wanted = path.relative_to(folder).parts[0]
    close = difflib.get_close_matches(wanted, names, n=1)
    if close:
        return f"did you mean `{close[0]}`? A relative path starts at the recipe's folder"
    listed = ", ".join(f"`{name}`" for name in names[:8]) or "nothing"
    return f"{folder} holds {listed}; a relative path starts at the recipe's folder"
