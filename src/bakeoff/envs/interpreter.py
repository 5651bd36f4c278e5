"""What a Python interpreter is and holds, asked of itself."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from bakeoff.base.errors import UserError
from bakeoff.base.process import capture
from bakeoff.envs.locks import Lock

_SCRIPT = """
import json, platform, sys
sys.path.pop(0)
from importlib import metadata
found = {}
for distribution in metadata.distributions():
    found.setdefault(distribution.metadata["Name"], distribution.version)
print(json.dumps({"version": platform.python_version(), "packages": found}))
"""
_LIMIT_SECONDS = 60.0
_SYSTEMS = {"darwin": "macos"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Interpreter:
    python: Path
    version: str
    packages: Mapping[str, str]
    """Versions by normalised name."""


def look_at(python: Path) -> Interpreter:
    """Ask an interpreter for its version and its packages.

    Raises:
        UserError: It is no Python interpreter that runs.
    """
    # -E: a PYTHONPATH of this process is not the other's.
    told = capture(
        [str(python), "-E", "-c", _SCRIPT], cwd=Path.cwd(), timeout_seconds=_LIMIT_SECONDS
    )
    try:
        answer = json.loads(told or "")
        packages: dict[str, str] = {
            canonicalize_name(name): version
            for name, version in answer["packages"].items()
            if name and version
        }
        return Interpreter(python, answer["version"], packages)
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{python} is not a Python interpreter that runs here",
            hint="name the program itself, such as /path/to/environment/bin/python",
        ) from None


def differences(lock: Lock, interpreter: Interpreter) -> tuple[str, ...]:
    """What is missing or of another version than locked, one line a package."""
    markers = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": ".".join(interpreter.version.split(".")[:2]),
        "python_full_version": interpreter.version,
    }
    found = []
    for requirement in lock.requirements:
        if requirement.marker is not None and not requirement.marker.evaluate(markers):
            continue
        version = interpreter.packages.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement.name}: {requirement.specifier} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name}: {version}, locked {requirement.specifier}")
    return tuple(found)


def this_system() -> str:
    """Such as ``linux-x86_64``."""
    system, machine = platform.system().lower(), platform.machine().lower()
    return f"{_SYSTEMS.get(system, system)}-{_MACHINES.get(machine, machine)}"
