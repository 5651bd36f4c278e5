"""What a cell's devices make of its recipe: how many there are, and how they share a step."""

from bakeoff.planning.problems import InvalidRecipe
from bakeoff.schema.plan import Problem
from bakeoff.schema.recipe import Recipe

ALONE = "single"
"""The strategy of one device: what others are compared with."""


def settle_devices(recipe: Recipe, *, several_strategies: bool) -> Recipe:
    """The recipe with whole numbers of devices a machine and of passes a step.

    Args:
        recipe: Of one cell.
        several_strategies: Whether the study compares strategies: then `single` takes one of the
            devices that the others take.

    Raises:
        InvalidRecipe: Rows or devices cannot be shared out evenly.
    """
    if several_strategies and recipe.strategy == ALONE:
        recipe = recipe.model_copy(update={"world_size": 1, "nodes": 1})
    if recipe.world_size % recipe.nodes:
        raise InvalidRecipe(
            [
                Problem(
                    key="nodes",
                    message=f"expected machines with equally many devices; `world_size` "
                    f"{recipe.world_size} is no multiple of {recipe.nodes}",
                )
            ]
        )
    wanted = recipe.train.rows_per_step
    if wanted is None:
        return recipe
    at_a_time = recipe.train.batch_size * recipe.world_size
    if wanted % at_a_time:
        raise InvalidRecipe([_uneven(recipe, wanted, at_a_time)])
    given = {"gradient_accumulation": wanted // at_a_time, "rows_per_step": None}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=given)})


def _uneven(recipe: Recipe, wanted: int, at_a_time: int) -> Problem:
    return Problem(
        key="train.rows_per_step",
        message=f"expected a multiple of the {at_a_time} rows that {recipe.world_size} device(s) "
        f"take at a time (`train.batch_size` {recipe.train.batch_size} each); got {wanted}",
        hint="lower `train.batch_size`, or choose another number",
    )
