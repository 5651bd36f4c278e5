"""Content ids."""

import hashlib
import json
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20


def digest_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_json(value: Any) -> str:
    """Equal for equal values, whatever the order of their keys."""
    return digest_text(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def digest_file(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return sha.hexdigest()


def digest_files(paths: dict[str, Path]) -> str:
    """Over names and contents, whatever the order."""
    return digest_json({name: digest_file(path) for name, path in paths.items()})


def digest_folder(folder: Path) -> str:
    """Of all files below ``folder`` by name and content, without hidden ones and compiled code."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return digest_files(
        {
            name.as_posix(): path
            for name, path in files.items()
            if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        }
    )


def short_id(value: Any) -> str:
    """Twelve hexadecimal digits: enough for a billion steps with odds of 2e-3 of one collision."""
    return digest_json(value)[:12]
