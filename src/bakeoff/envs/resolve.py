"""Which interpreter a framework runs in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from bakeoff.base.errors import UserError
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.installed import installed_from, python_in
from bakeoff.envs.interpreter import Interpreter, differences, look_at
from bakeoff.envs.locks import read_lock


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter that holds a framework."""

    name: str
    python: Path
    lock_digest: str | None
    """None: an interpreter that a person named, not made from our lock."""

    versions: Mapping[str, str]
    """Of all packages by normalised name, and of ``python``."""

    differences: tuple[str, ...]
    """To the lock; empty for one that we installed and nobody changed."""

    folder: Path | None
    """Where it is installed; None as for ``lock_digest``."""


def resolve(name: str, given: str | None, *, cache_dir: Path, base_dir: Path) -> Environment:
    """The environment `name`, or the one that a recipe gives in its place.

    Args:
        name: As in the registry.
        given: The value of the recipe's `env: {NAME: ...}`: an interpreter, the folder of a virtual
            environment, or the name of one of ours. None: ours of that name.
        cache_dir: Where ours are.
        base_dir: What a relative path starts from.

    Raises:
        UserError: It is not installed, does not run, or does not hold the framework.
    """
    if given is None or given in ENVIRONMENTS.names():
        return _ours(given or name, cache_dir, wanted_for=name)
    spec = ENVIRONMENTS.get(name)
    interpreter = look_at(_interpreter_at(given, name, base_dir))
    _require_framework(interpreter, name)
    return Environment(
        name=name,
        python=interpreter.python,
        lock_digest=None,
        versions=_versions(interpreter),
        differences=differences(read_lock(spec), interpreter),
        folder=None,
    )


def _ours(installed_name: str, cache_dir: Path, *, wanted_for: str) -> Environment:
    lock = read_lock(ENVIRONMENTS.get(installed_name))
    there = installed_from(lock, installed_name, cache_dir)
    if not there:
        raise UserError(
            f"the environment `{installed_name}` is not installed (looked in {cache_dir / 'envs'})",
            hint=f"`bakeoff env install {installed_name}`, or name an interpreter of your own in "
            f"the recipe: `env: {{{wanted_for}: /path/to/python}}`",
        )
    installed = there[-1]
    interpreter = look_at(installed.python)
    _require_framework(interpreter, wanted_for)
    return Environment(
        name=installed_name,
        python=installed.python,
        lock_digest=lock.digest,
        versions=_versions(interpreter),
        differences=differences(lock, interpreter),
        folder=installed.folder,
    )


def _interpreter_at(given: str, name: str, base_dir: Path) -> Path:
    path = base_dir / Path(given).expanduser()
    if path.is_file():
        return path.absolute()  # not resolved: the link decides which environment it is
    if path.is_dir():
        # A conda environment on Windows has its interpreter at the top.
        for python in (python_in(path), path / "python.exe"):
            if python.is_file():
                return python.absolute()
        raise UserError(
            f"{path}, named for `{name}`, holds no Python interpreter",
            hint="name the interpreter, or the folder of a virtual environment",
        )
    raise UserError(
        f"there is no {path}, which is named for `{name}`",
        hint=f"name an interpreter, or one of {', '.join(ENVIRONMENTS.names())}",
    )


def _require_framework(interpreter: Interpreter, name: str) -> None:
    spec = ENVIRONMENTS.get(name)
    specs = [ENVIRONMENTS.get(other) for other in ENVIRONMENTS.names()]
    fitting = [spec, *(other for other in specs if other.stands_for == name)]
    if not {canonicalize_name(one.distribution) for one in fitting} & set(interpreter.packages):
        raise UserError(
            f"{interpreter.python} (Python {interpreter.version}) does not hold "
            f"{spec.distribution}",
            hint=f"install it there, or let `bakeoff env install {name}` make an environment",
        )


def _versions(interpreter: Interpreter) -> dict[str, str]:
    return {"python": interpreter.version, **dict(sorted(interpreter.packages.items()))}
