"""The environments that the backends of a study run in."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bakeoff.backends import BACKENDS
from bakeoff.base.errors import UserError
from bakeoff.base.hashing import short_id
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.install import Installer
from bakeoff.envs.installed import installed_from
from bakeoff.envs.locks import read_lock
from bakeoff.envs.resolve import resolve
from bakeoff.envs.uv import find_uv
from bakeoff.evals import ENGINES
from bakeoff.schema.plan import EnvironmentStep
from bakeoff.schema.recipe import Recipe


def environment_of(recipe: Recipe) -> EnvironmentStep | None:
    """The environment of the recipe's backend; None: it needs none of its own."""
    try:
        return _step_of(BACKENDS.get(recipe.backend)().environment, recipe)
    except UserError:
        return None  # the check of the plan says so, with its place in the recipe


def engine_environment_of(recipe: Recipe) -> EnvironmentStep | None:
    """That of the recipe's engine of evaluation, likewise."""
    return _step_of(ENGINES.get(recipe.evaluate.engine)().environment, recipe)


def _step_of(name: str | None, recipe: Recipe) -> EnvironmentStep | None:
    if name is None:
        return None
    given = recipe.env.get(name)
    identity = read_lock(ENVIRONMENTS.get(name)).digest if given is None else _identity(name, given)
    return EnvironmentStep(id=short_id(["environment", name, identity]), name=name, given=given)


def _identity(name: str, given: str) -> list[str]:
    """Place and versions of an interpreter that a person named; the place alone if it is no use."""
    try:
        # A recipe's paths are absolute by now.
        found = resolve(name, given, cache_dir=Path(), base_dir=Path())
    except UserError:
        return [given]
    return [given, *(f"{package}={version}" for package, version in found.versions.items())]


def is_installed(step: EnvironmentStep, cache_dir: Path) -> bool:
    """Whether it is there and holds the framework."""
    if step.given is not None:
        return len(_identity(step.name, step.given)) > 1
    return bool(installed_from(read_lock(ENVIRONMENTS.get(step.name)), step.name, cache_dir))


def bring_environment(
    step: EnvironmentStep,
    *,
    cache_dir: Path,
    base_dir: Path,
    variables: Mapping[str, str],
    report: Callable[[str], None],
) -> Path:
    """Install it if need be; the interpreter.

    Args:
        step: Which one.
        cache_dir: Where ours are kept.
        base_dir: What a relative path in the recipe starts from.
        variables: Of this process, with the settings of its package index.
        report: Told what goes on.

    Raises:
        UserError: This system, the disk, the network or the interpreter that was named.
        RunError: The installation failed; holds the end of its log.
    """
    if step.given is None and not is_installed(step, cache_dir):
        installer = Installer(cache_dir=cache_dir, uv=find_uv(variables), report=report)
        installer.install(ENVIRONMENTS.get(step.name))
    return resolve(step.name, step.given, cache_dir=cache_dir, base_dir=base_dir).python
