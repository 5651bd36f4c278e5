"""Recipe file -> checked plan, before anything is fetched or started."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from bakeoff import data, models
from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.known_settings import unknown_settings
from bakeoff.base.errors import UserError
from bakeoff.base.sources import resolve_path
from bakeoff.envs import ENVIRONMENTS
from bakeoff.evals import ENGINES
from bakeoff.planning.check import check_distribution, check_optimizer
from bakeoff.planning.expand import Matrix, expand
from bakeoff.planning.problems import InvalidRecipe
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.recipes import RecipeTree, load_recipe
from bakeoff.runner.environments import engine_environment_of, environment_of
from bakeoff.schema.plan import EnvironmentStep, EvalPlan, Plan, Problem, TrainPlan
from bakeoff.schema.recipe import OF_THE_MACHINE
from bakeoff.schema.recipe_machine import ClusterSpec, ExchangeSpec, HubSpec, MeasureSpec
from bakeoff.strategies import STRATEGIES
from bakeoff.trackers import TRACKERS

_OPTIMIZER_REQUIREMENTS = {"adamw-8bit": ("bitsandbytes>=0.50",)}
"""Beside the built-in trainer; the frameworks' environments hold them."""

_INSTALL = {
    "strategy": "`pip install 'bakeoff[zero]'`",
    "train.optimizer": "`pip install 'bakeoff[8bit]'`, or set `train.optimizer: adamw`",
}


@dataclass(frozen=True, kw_only=True)
class PreparedStudy:
    tree: RecipeTree
    plan: Plan
    base_dir: Path
    """Folder of the recipe: what its relative paths are relative to."""

    trainings: tuple[TrainPlan, ...] = ()
    """Done before, elsewhere: the plan asks what they made."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Of the machine that a study is run on; of no influence on its results."""

    hub: HubSpec
    silence_limit_seconds: float
    measure: MeasureSpec
    cluster: ClusterSpec | None
    """None: runs are done here."""
    exchange: ExchangeSpec
    report_to: tuple[str, ...] = ()
    runs: Path | None = None
    cache: Path | None = None
    temporary: Path | None = None
    where: dict[str, str]
    """File, line and column by key of `places`."""


def prepare_study(recipe_path: Path, overrides: Sequence[str], *, cache_dir: Path) -> PreparedStudy:
    """Read, expand, plan and check; touches the disk to read the recipe and local data only.

    Raises:
        UserError: with file, line, key, what was expected and what to do, for every problem found.
    """
    tree = load_recipe(recipe_path, overrides)
    return prepare_tree(tree, recipe_path.resolve().parent, cache_dir=cache_dir)


def prepare_tree(tree: RecipeTree, base_dir: Path, *, cache_dir: Path) -> PreparedStudy:
    """As :func:`prepare_study`, of a recipe that was read or made already.

    Raises:
        UserError: with file, line, key, what was expected and what to do, for every problem found.
    """
    matrix = matrix_of(tree)
    try:
        plan = make_plan(
            matrix,
            Fingerprints(
                of_model=lambda spec: models.fingerprint(
                    spec, base_dir=base_dir, cache_dir=cache_dir
                ),
                of_data=lambda spec: data.fingerprint(spec, base_dir=base_dir),
                environment=environment_of,
                engine_environment=engine_environment_of,
            ),
        )
    except UserError as error:
        raise _with_place(tree, error) from error
    unknown = [
        *_unknown_environments(matrix),
        *_settings_of_nobody(tree),
        *_nowhere_to_meet(matrix),
        *_missing_trackers(matrix),
    ]
    problems = list(dict.fromkeys([*unknown, *problems_of(plan)]))
    if problems:
        raise as_user_error(tree, problems)
    return PreparedStudy(tree=tree, plan=plan, base_dir=base_dir)


def read_matrix(recipe_path: Path, overrides: Sequence[str]) -> tuple[RecipeTree, Matrix]:
    """The recipe with its lines, and its cells; nothing but the file is read.

    Raises:
        UserError: with file, line, key, what was expected and what to do.
    """
    tree = load_recipe(recipe_path, overrides)
    return tree, matrix_of(tree)


def matrix_of(tree: RecipeTree) -> Matrix:
    """The cells of a recipe.

    Raises:
        UserError: with file, line, key, what was expected and what to do.
    """
    try:
        matrix = expand(tree.values)
    except InvalidRecipe as error:
        raise as_user_error(tree, error.problems) from error
    axes = [name for name in matrix.cells[0].axes if name.partition(".")[0] in OF_THE_MACHINE]
    if axes:
        message = "expected one value; it is the same for the whole study"
        raise as_user_error(tree, [Problem(key=name, message=message) for name in axes])
    return matrix


def settings_of(recipe_path: Path, overrides: Sequence[str]) -> StudySettings:
    """What the recipe says of the machine rather than of the work.

    Raises:
        UserError: A mistake in the recipe.
    """
    tree, matrix = read_matrix(recipe_path, overrides)
    recipe = matrix.cells[0].recipe
    base_dir = recipe_path.resolve().parent
    folders = {name: resolve_path(text, base_dir).resolve() for name, text in recipe.places if text}
    where = {name: tree.where(f"places.{name}") for name in folders}
    return StudySettings(
        hub=recipe.hub,
        silence_limit_seconds=60 * recipe.limits.silent_minutes,
        measure=recipe.measure,
        cluster=recipe.cluster,
        exchange=recipe.exchange,
        report_to=recipe.report_to,
        where=where,
        **folders,
    )


def require_places(settings: StudySettings, names: Sequence[str]) -> None:
    """Whether the folders of the recipe's `places` can be made.

    Raises:
        UserError: The folder above one is not there.
    """
    for name in names:
        folder: Path | None = getattr(settings, name)
        if folder is not None and not folder.parent.is_dir():
            raise UserError(
                f"{settings.where[name]}: `places.{name}`: cannot make {folder}: there is no "
                f"folder {folder.parent} here",
                hint="name a folder of this machine, or leave all of them out: --set places=null",
            )


def problems_of(plan: Plan) -> Iterator[Problem]:
    """Everything known to be wrong with a plan, without touching disk or network."""
    ours = {s.id for s in plan.steps if isinstance(s, EnvironmentStep) and s.given is None}
    for step in plan.steps:
        if isinstance(step, TrainPlan):
            yield from _training_problems(step)
            if step.environment_id in ours:
                yield from unknown_settings(step)
        elif isinstance(step, EvalPlan):
            yield from _evaluation_problems(step)


def _training_problems(step: TrainPlan) -> Iterator[Problem]:
    try:
        backend = BACKENDS.get(step.backend)()
        strategy = STRATEGIES.get(step.strategy)()
    except UserError as error:
        key = "backend" if step.backend in str(error) else "strategy"
        yield Problem(key=key, message=str(error), hint=error.hint)
        return
    yield from check_distribution(step, speaks=strategy.speaks, accepts=backend.accepts)
    yield from strategy.check(step.world)
    yield from backend.check(step)
    yield from _device_problems(step)
    yield from check_optimizer(step, on_a_mac=sys.platform == "darwin")
    if backend.environment is None:
        yield from _missing_requirements("backend", step.backend, backend.requirements)
        wanted = _OPTIMIZER_REQUIREMENTS.get(step.train.optimizer, ())
        yield from _missing_requirements("train.optimizer", step.train.optimizer, wanted)
        yield from _missing_requirements("strategy", step.strategy, strategy.requirements)


def _nowhere_to_meet(matrix: Matrix) -> Iterator[Problem]:
    recipes = [cell.recipe for cell in matrix.cells]
    if recipes[0].execution == "ray":
        return  # it knows its machines
    if any(r.nodes > 1 for r in recipes) and recipes[0].exchange.rendezvous is None:
        yield Problem(
            key="nodes",
            message="the machines do not know where to meet",
            hint="set `exchange.rendezvous: HOST:PORT` of the machine that runs this command",
        )


def _missing_trackers(matrix: Matrix) -> Iterator[Problem]:
    for name in matrix.cells[0].recipe.report_to:
        try:
            missing = shortfalls(TRACKERS.get(name).requirements)
        except UserError as error:
            yield Problem(key="report_to", message=str(error), hint=error.hint)
            continue
        if missing:
            yield Problem(
                key="report_to",
                message=f"`{name}` needs {', '.join(missing)}",
                hint=f"{install_line(name)}; or go on without: --set report_to=null",
            )


def _device_problems(step: TrainPlan) -> Iterator[Problem]:
    if step.world.num_processes > 1 and step.device == "mps":
        yield Problem(
            key="device",
            message="processes exchange tensors between GPUs by NVIDIA or between CPUs, not on MPS",
            hint="set `device: cpu`, or `strategy: single` and `world_size: 1`",
        )


def _unknown_environments(matrix: Matrix) -> Iterator[Problem]:
    for name in matrix.cells[0].recipe.env:
        if name not in ENVIRONMENTS.names():
            known = ", ".join(ENVIRONMENTS.names())
            message = f"there is no environment `{name}`; there are {known}"
            yield Problem(key=f"env.{name}", message=message)


def _settings_of_nobody(tree: RecipeTree) -> Iterator[Problem]:
    """Settings for a trainer that there is not: no cell would take them."""
    extra = tree.values.get("extra")
    for settings in extra if isinstance(extra, list) else [extra or {}]:
        for name in settings:
            try:
                BACKENDS.get(name)
            except UserError as error:
                yield Problem(key=f"extra.{name}", message=str(error), hint=error.hint)


def _evaluation_problems(step: EvalPlan) -> Iterator[Problem]:
    engine = ENGINES.get(step.engine)()
    yield from engine.check(step)
    if engine.environment is None:
        yield from _missing_requirements("evaluate.engine", step.engine, engine.requirements)


def _missing_requirements(key: str, name: str, requirements: Sequence[str]) -> Iterator[Problem]:
    missing = shortfalls(requirements)
    if missing:
        yield Problem(
            key=key,
            message=f"`{name}` needs {', '.join(missing)}",
            hint=_INSTALL.get(
                key, "`make install` in the project, or `pip install 'bakeoff[train,eval]'`"
            ),
        )


def install_line(tracker: str) -> str:
    """What installs the client of a tracker beside bakeoff."""
    wanted = " ".join(f"'{line}'" for line in TRACKERS.get(tracker).requirements)
    return f"`{sys.executable} -m pip install {wanted}`"


def shortfalls(requirements: Sequence[str]) -> list[str]:
    """Those that this environment does not meet, each with what is wrong."""
    return [text for line in requirements if (text := _shortfall(line)) is not None]


def _shortfall(line: str) -> str | None:
    """What is wrong with a requirement in this environment, or None."""
    requirement = Requirement(line)
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{line} (not installed)"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{line} (installed: {version})"


def _with_place(tree: RecipeTree, error: UserError) -> UserError:
    """Put file and line before a message that names the recipe's key first."""
    named = re.match(r"`((?:data|model|evaluate)(?:\.\w+)*)[:`]", str(error))
    if named is None:
        return error
    return UserError(f"{tree.where(named.group(1))}: {error}", hint=error.hint)


def as_user_error(tree: RecipeTree, problems: Sequence[Problem]) -> UserError:
    """All problems of a recipe in one message, each with the file and line that set its key."""
    lines = []
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint and len(problems) > 1 else ""
        lines.append(f"{tree.where(problem.key)}: `{problem.key}`: {problem.message}{hint}")
    if len(problems) == 1:
        return UserError(lines[0], hint=problems[0].hint)
    shown = "\n".join(f"  {line}" for line in lines)
    return UserError(f"{len(problems)} mistakes in the recipe:\n{shown}")
