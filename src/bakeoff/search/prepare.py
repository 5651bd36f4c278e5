"""Recipe -> checked search, before anything is fetched or started."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import short_id
from bakeoff.planning.expand import Matrix
from bakeoff.recipes import Key, RecipeTree, load_recipe
from bakeoff.runner.prepare import PreparedStudy, as_user_error, matrix_of, prepare_tree
from bakeoff.schema.plan import OWN_TASK, EvalPlan, Problem
from bakeoff.schema.recipe import OF_THE_MACHINE, Recipe
from bakeoff.schema.recipe_search import Dimension, SearchSpec
from bakeoff.schema.search import Values
from bakeoff.search.default_spaces import DEFAULT_SPACES
from bakeoff.search.space import Space, Tree, value_at, with_values

_NOT_SEARCHED = ("name", "seed", "evaluate", "data", *OF_THE_MACHINE)
_NOT_OF_A_TRIAL = ("search", "transfer")


@dataclass(frozen=True, kw_only=True)
class PreparedSearch:
    """A search whose recipe holds no mistake."""

    tree: RecipeTree
    base_dir: Path
    recipe: Recipe
    """The recipe's own setting."""

    space: Space
    cache_dir: Path
    id: str
    """Of what is searched and how: a change of budget, workers or confirmation leaves it."""

    @property
    def spec(self) -> SearchSpec:
        return self.recipe.search

    @property
    def study(self) -> str:
        """Name of the study that holds the runs."""
        return f"{self.recipe.name}-search"

    @property
    def scores(self) -> bool:
        """Whether trials are evaluated."""
        return "exact_match" in self.spec.objective

    def own_values(self) -> Values:
        """The recipe's own setting, of what is searched."""
        shown = self.recipe.model_dump(mode="json")
        return {key: value_at(shown, key) for key in self.space}

    def study_of(
        self, values: Values, *, seed: int | None = None, proxy: bool = True
    ) -> PreparedStudy:
        """The cell with these settings: its sources, its training and what scores it."""
        given = {**(self.spec.proxy if proxy else {}), **values}
        tree = _trial_tree(self.tree.values, scores=self.scores)
        tree = with_values(with_values(tree, given, as_axes=False), values, as_axes=True)
        tree["name"] = self.study
        if seed is not None:
            tree["seed"] = seed
        prepared = prepare_tree(
            replace(self.tree, values=tree), self.base_dir, cache_dir=self.cache_dir
        )
        if self.scores:
            return prepared
        steps = tuple(step for step in prepared.plan.steps if not isinstance(step, EvalPlan))
        return replace(prepared, plan=prepared.plan.model_copy(update={"steps": steps}))


def prepare_search(
    recipe_path: Path, overrides: Sequence[str], *, cache_dir: Path
) -> PreparedSearch:
    """Read and check; touches the disk to read the recipe and local data only.

    Raises:
        UserError: with file, line, key, what was expected and what to do.
    """
    tree = load_recipe(recipe_path, overrides)
    matrix = matrix_of(_without_searched(tree))
    recipe = matrix.cells[0].recipe
    spec = recipe.search
    space = spec.space if spec.space is not None else _default_space(tree, recipe)
    problems = [
        *_matrix_problems(matrix, space),
        *_space_problems(space, spec),
        *_proxy_problems(space, spec),
        *_objective_problems(tree.values, recipe),
        *_seed_problems(recipe),
    ]
    if problems:
        raise as_user_error(tree, problems)
    search = PreparedSearch(
        tree=_with_places_of_values(tree, space, spec),
        base_dir=recipe_path.resolve().parent,
        recipe=recipe,
        space=space,
        cache_dir=cache_dir,
        id=_search_id(tree.values, spec, space),
    )
    _try_corners(search)
    return search


def _trial_tree(values: Tree, *, scores: bool) -> Tree:
    tree = {key: value for key, value in values.items() if key not in _NOT_OF_A_TRIAL}
    tree["evaluate"] = {**(tree.get("evaluate") or {}), "base": False}
    if scores:
        tree["evaluate"] |= {"tasks": OWN_TASK, "split": "validation"}
    return tree


def _without_searched(tree: RecipeTree) -> RecipeTree:
    """A list under a key that is searched anyway is no matrix: its first entry stands for it."""
    named = (tree.values.get("search") or {}).get("space") or {}
    values = tree.values
    for key in named if isinstance(named, Mapping) else ():
        present = value_at(values, str(key))
        if isinstance(present, list) and present:
            values = with_values(values, {str(key): present[0]})
    return replace(tree, values=values)


def _default_space(tree: RecipeTree, recipe: Recipe) -> Space:
    if isinstance(tree.values.get("method"), list):
        raise as_user_error(
            tree,
            [
                Problem(
                    key="method",
                    message="expected one method, for each has a default space of its own",
                    hint="name one, or write `search.space` with `method: [lora, full]` in it",
                )
            ],
        )
    return DEFAULT_SPACES[recipe.method]


def _matrix_problems(matrix: Matrix, space: Space) -> Iterator[Problem]:
    for name in matrix.varying:
        if name not in space:
            yield Problem(
                key=name,
                message="expected one value, for a search has no matrix beside its space",
                hint=f"write it as `search.space: {{{name}: [...]}}`, or keep one value",
            )


def _space_problems(space: Space, spec: SearchSpec) -> Iterator[Problem]:
    if not space:
        yield Problem(key="search.space", message="nothing is searched", hint="name a setting")
    for key, dimension in space.items():
        if key.partition(".")[0] in _NOT_SEARCHED and key != "data.num_train":
            yield Problem(
                key=f"search.space.{key}",
                message="is no setting of a training and cannot be searched",
                hint="search keys of `train`, `lora`, `freeze`, `prompt`, `method`, `backend`, "
                "or `data.num_train`",
            )
        for other in dimension.when:
            earlier = list(space)[: list(space).index(key)]
            if other in space and other not in earlier:
                yield Problem(
                    key=f"search.space.{key}",
                    message=f"`when` names `{other}`, which is chosen later",
                    hint=f"write `{other}` above `{key}`",
                )
        if spec.method == "cmaes" and (dimension.choices is not None or dimension.when):
            yield Problem(
                key=f"search.space.{key}",
                message="`method: cmaes` takes ranges of numbers without conditions",
                hint="write `method: tpe`, or a range in place of the choices",
            )


def _proxy_problems(space: Space, spec: SearchSpec) -> Iterator[Problem]:
    for key in spec.proxy:
        if key in space or key.partition(".")[0] in (*_NOT_OF_A_TRIAL, *OF_THE_MACHINE, "name"):
            yield Problem(
                key=f"search.proxy.{key}",
                message="is searched, so that this value would never be used"
                if key in space
                else "makes no training cheaper",
                hint="name what makes the trials cheaper: `model.num_hidden_layers`, `model`, "
                "`data.num_train`, `train.max_steps`",
            )


def _objective_problems(values: Tree, recipe: Recipe) -> Iterator[Problem]:
    spec, said = recipe.search, values.get("evaluate") or {}
    if recipe.data.num_validation == 0 and recipe.data.validation is None:
        yield Problem(
            key="data.num_validation",
            message="a search chooses by validation rows, and there are none",
            hint="write `data.num_validation: 64`, or name a split with `data.validation`",
        )
    if "exact_match" in spec.objective:
        if said.get("split") == "test":
            yield Problem(
                key="evaluate.split",
                message="settings must not be chosen by the rows that judge them later",
                hint="leave the key out: a search asks the validation split",
            )
        if recipe.evaluate.tasks != (OWN_TASK,):
            yield Problem(
                key="evaluate.tasks",
                message="a task of the harness asks its test split, by which no setting may be "
                "chosen",
                hint="search with `--set evaluate.tasks=data`; the task can score what was found",
            )
    if spec.budget.cost is not None and recipe.measure.price_per_hour is None:
        yield Problem(
            key="search.budget.cost",
            message="needs the price of this machine",
            hint="write `measure: {price_per_hour: 1.88, currency: CNY}`",
        )


def _seed_problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.search.confirm.top and recipe.seed in recipe.search.confirm.seeds:
        yield Problem(
            key="search.confirm.seeds",
            message=f"{recipe.seed} is the seed of the search itself; what was lucky with it must "
            "be judged by others",
            hint="name other seeds",
        )


def _with_places_of_values(tree: RecipeTree, space: Space, spec: SearchSpec) -> RecipeTree:
    """A value that a training refuses is a mistake where the space or the proxy names it."""
    places: dict[Key, str] = dict(tree.positions)
    for block, keys in (("space", space), ("proxy", spec.proxy)):
        for key in keys:
            named: Key = ("search", block, key)
            if named in places:
                places[tuple(key.split("."))] = places[named]
    return replace(tree, positions=places)


def _search_id(values: Tree, spec: SearchSpec, space: Mapping[str, Dimension]) -> str:
    kept = {k: v for k, v in values.items() if k not in (*OF_THE_MACHINE, "name")}
    asked = spec.model_dump(mode="json", include={"objective", "method", "pruning", "proxy"})
    return short_id(
        [kept, asked, {k: d.model_dump(mode="json", exclude={"source"}) for k, d in space.items()}]
    )


def _try_corners(search: PreparedSearch) -> None:
    """Every end and every choice must make a recipe; better told now than in the last trial."""
    if search.spec.proxy:
        _complaining_of("search.proxy", partial(search.study_of, {}))
    for key, dimension in search.space.items():
        chosen: Sequence[Any] = dimension.choices or (dimension.low, dimension.high)
        for value in chosen:
            needed = {k: v[0] for k, v in dimension.when.items()}
            number = round(value) if dimension.whole else value
            tried = list(number) if isinstance(number, tuple) else number
            _complaining_of(f"search.space.{key}", partial(search.study_of, {**needed, key: tried}))


def _complaining_of(key: str, attempt: Any) -> None:
    try:
        attempt()
    except UserError as error:
        raise UserError(f"`{key}`: {error}", hint=error.hint) from error
