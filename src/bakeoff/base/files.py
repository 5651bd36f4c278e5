"""Files that are either whole or absent.

Accepted trade-offs: the folder's entry is not synced to disk, so that after a power cut (not a
kill) the newest file may be missing, never torn; a temporary name left by a kill stays until the
folder is cleaned.
"""

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from bakeoff.base.errors import UserError


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 with POSIX line ends; readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_files(folder: Path, files: Mapping[PurePosixPath, str]) -> None:
    """Each text under its name in ``folder``."""
    for name, text in files.items():
        write_text_atomic(folder / name, text)


def write_json_atomic(path: Path, value: Any) -> None:
    write_text_atomic(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Not atomic: for folders that are moved into place when whole."""
    encode = msgspec.json.Encoder().encode  # four to ten times as fast as `json`
    with path.open("wb") as file:
        for row in rows:
            file.write(encode(row) + b"\n")


def iter_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file that we wrote; a torn last line (a killed writer) ends the reading."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield json.loads(line)


def drop_torn_line(path: Path) -> None:
    """Before appending: what a killed writer left behind the last line end goes away."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


@contextlib.contextmanager
def folder_when_whole(path: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.chmod(0o755)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def require_free_bytes(folder: Path, needed: int, what: str) -> None:
    """Raise when the disk that holds ``folder`` has less than ``needed`` bytes free."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{what} needs {needed / 1e9:.1f} GB of disk, but {existing} has {free / 1e9:.1f} GB "
            "free",
            hint="free some space, or name another place with --runs-dir and --cache-dir",
        )
