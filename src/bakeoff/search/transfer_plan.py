"""Recipe -> checked transfer experiment: its arms, its grid, and the trainings of each stage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff.compare.names import name_cell
from bakeoff.planning.expand import Cell, Matrix
from bakeoff.recipes import RecipeTree, load_recipe
from bakeoff.runner.prepare import PreparedStudy, as_user_error, matrix_of, prepare_tree
from bakeoff.schema.plan import AxisValue, EvalPlan, Problem, TrainPlan
from bakeoff.schema.recipe_train import ADAPTER_METHODS
from bakeoff.schema.recipe_transfer import TransferSpec
from bakeoff.search.space import with_values

RATE = "train.learning_rate"
FULL = "full"
_OF_AN_ARM = ("method",)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """An experiment whose recipe holds no mistake."""

    tree: RecipeTree
    base_dir: Path
    cache_dir: Path
    spec: TransferSpec
    name: str
    seeds: tuple[int, ...]
    rates: Mapping[str, tuple[float, ...]]
    """Ascending, by method."""

    axes: tuple[str, ...]
    """That vary, in the order of the recipe."""

    @property
    def study(self) -> str:
        return f"{self.name}-transfer"

    def with_rates(self, rates: Mapping[str, Sequence[float]]) -> "Transfer":
        """The same with other grids."""
        return replace(self, rates={m: tuple(sorted(found)) for m, found in rates.items()})

    def grid(self) -> PreparedStudy:
        """Every rate of every arm with every seed."""
        by_method = {method: list(rates) for method, rates in self.rates.items()}
        return self._trainings({RATE: by_method})

    def scoring(self, rates: Sequence[float], context: Mapping[str, AxisValue]) -> PreparedStudy:
        """Full fine-tuning at some rates, with the seeds that score."""
        return self._trainings(
            {
                **context,
                "method": FULL,
                RATE: sorted(set(rates)),
                "seed": list(self.spec.score_seeds),
            }
        )

    def arm_of(self, step: TrainPlan) -> str:
        """What a person calls it: the method, and those of its own settings that vary."""
        own = [axis for axis in self.axes if _is_of_arm(axis)]
        return name_cell(step.axes, own)

    def context_of(self, step: TrainPlan) -> dict[str, AxisValue]:
        """Axes that the arms share."""
        return {
            axis: step.axes[axis]
            for axis in self.axes
            if axis in step.axes and not _is_of_arm(axis) and axis not in (RATE, "seed")
        }

    def _trainings(self, values: dict[str, Any]) -> PreparedStudy:
        tree = with_values(self.tree.values, {**values, "name": self.study})
        prepared = prepare_tree(
            replace(self.tree, values=tree), self.base_dir, cache_dir=self.cache_dir
        )
        steps = tuple(step for step in prepared.plan.steps if not isinstance(step, EvalPlan))
        return replace(prepared, plan=prepared.plan.model_copy(update={"steps": steps}))


def prepare_transfer(recipe_path: Path, overrides: Sequence[str], *, cache_dir: Path) -> Transfer:
    """Read and check.

    Raises:
        UserError: with file, line, key, what was expected and what to do.
    """
    tree = load_recipe(recipe_path, overrides)
    matrix = matrix_of(tree)
    problems = list(_problems(matrix))
    if problems:
        raise as_user_error(tree, problems)
    first = matrix.cells[0].recipe
    return Transfer(
        tree=tree,
        base_dir=recipe_path.resolve().parent,
        cache_dir=cache_dir,
        spec=first.transfer,
        name=first.name,
        seeds=tuple(sorted({cell.recipe.seed for cell in matrix.cells})),
        rates=_rates(matrix.cells),
        axes=matrix.varying,
    )


def _is_of_arm(axis: str) -> bool:
    return axis in _OF_AN_ARM or axis.startswith(("lora.", "freeze."))


def _rates(cells: Sequence[Cell]) -> dict[str, tuple[float, ...]]:
    found: dict[str, set[float]] = {}
    for cell in cells:
        found.setdefault(cell.recipe.method, set()).add(cell.recipe.train.learning_rate)
    return {method: tuple(sorted(rates)) for method, rates in found.items()}


def _problems(matrix: Matrix) -> Iterator[Problem]:
    methods = {cell.recipe.method for cell in matrix.cells}
    if FULL not in methods or not methods & set(ADAPTER_METHODS):
        yield Problem(
            key="method",
            message=f"expected `full` and an adapter method; got {', '.join(sorted(methods))}",
            hint="write `method: [lora, full]`",
        )
    for method, rates in _rates(matrix.cells).items():
        if len(rates) < 4:
            yield Problem(
                key=RATE,
                message=f"{len(rates)} rates of `{method}` cannot show where the best one lies",
                hint="name at least four, better six or seven, each twice the one before",
            )
    seeds = {cell.recipe.seed for cell in matrix.cells}
    if len(seeds) < 2:
        yield Problem(
            key="seed",
            message="one seed cannot tell a difference from luck",
            hint="write `seed: [0, 1, 2]`",
        )
    spec, first = matrix.cells[0].recipe.transfer, matrix.cells[0].recipe
    shared = sorted(seeds & set(spec.score_seeds))
    if shared:
        yield Problem(
            key="transfer.score_seeds",
            message=f"{shared[0]} is a seed of the grid, by which the rates are chosen",
            hint="name seeds that `seed` does not",
        )
    if first.data.num_validation == 0 and first.data.validation is None:
        yield Problem(
            key="data.num_validation",
            message="rates are held against each other by validation loss, and there are no rows",
            hint="write `data.num_validation: 64`",
        )
