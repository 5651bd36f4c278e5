"""Environments on disk: ``CACHE/envs/NAME-ID``, the id over lock, Python and system.

A folder is moved into place when whole, so that one without a readable ``environment.json`` does
not exist. What a killed installation left begins with a dot and goes with the next one.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bakeoff.envs.locks import Lock
from bakeoff.schema.environment import EnvironmentCheck, InstalledEnvironment

NOTE = "environment.json"
CHECK = "checked.json"
_ID = "[0-9a-f]" * 12


@dataclass(frozen=True)
class Installed:
    folder: Path
    note: InstalledEnvironment

    @property
    def python(self) -> Path:
        return python_in(self.folder)

    def last_check(self) -> EnvironmentCheck | None:
        try:
            return EnvironmentCheck.model_validate_json((self.folder / CHECK).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def envs_dir(cache_dir: Path) -> Path:
    return cache_dir / "envs"


def python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def installed_from(lock: Lock, name: str, cache_dir: Path) -> list[Installed]:
    """Those made from this lock, the newest last: that one is used."""
    fitting = [one for one in all_installed(name, cache_dir) if one.note.lock_digest == lock.digest]
    return sorted(fitting, key=lambda one: one.note.installed_at)


def all_installed(name: str, cache_dir: Path) -> Iterator[Installed]:
    """Those from older locks as well."""
    for folder in _folders(name, cache_dir):
        try:
            note = InstalledEnvironment.model_validate_json((folder / NOTE).read_bytes())
        except (OSError, ValidationError):
            continue
        if note.name == name and python_in(folder).exists():
            yield Installed(folder, note)


def lock_file(name: str, cache_dir: Path) -> Path:
    """Held while an environment is made, checked or removed."""
    return envs_dir(cache_dir) / f".{name}.lock"


def drop_leavings(name: str, cache_dir: Path) -> None:
    """Remove what killed installations left; call it with the lock held."""
    for folder in envs_dir(cache_dir).glob(f".{name}-{_ID}.*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove(name: str, cache_dir: Path) -> list[Path]:
    """Remove every environment of that name; the folders that went. Call it with the lock held."""
    drop_leavings(name, cache_dir)
    gone = []
    for folder in _folders(name, cache_dir):
        # The note first: a removal that breaks off must leave nothing that looks whole.
        (folder / NOTE).unlink(missing_ok=True)
        shutil.rmtree(folder)
        gone.append(folder)
    return gone


def _folders(name: str, cache_dir: Path) -> list[Path]:
    return sorted(envs_dir(cache_dir).glob(f"{name}-{_ID}"))


def num_bytes(folder: Path) -> int:
    """Files shared with uv's cache are counted in full."""
    paths = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in paths)
