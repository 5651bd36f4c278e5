"""The recipe of each cell: what is benchmarked, with a setting in it."""

from dataclasses import dataclass
from io import StringIO
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.bench.settings import Chosen
from bakeoff.planning.expand import expand
from bakeoff.planning.problems import InvalidRecipe
from bakeoff.recipes import RecipeTree, make_recipe
from bakeoff.runner.prepare import as_user_error
from bakeoff.schema.bench import Setting
from bakeoff.schema.recipe_train import Method

_LEARNING_RATES: dict[Method, float] = {"lora": 2e-4, "full": 2e-5}


@dataclass(frozen=True, kw_only=True)
class TrainBench:
    """What is benchmarked."""

    backends: tuple[str, ...]
    """The first is the one that the others are held against."""

    settings: tuple[Setting, ...]
    methods: tuple[Method, ...]
    model: str
    data: str
    num_rows: int
    repeats: int
    device: str = "auto"
    overrides: tuple[str, ...] = ()
    """Keys of the recipe, the same for every cell."""

    warm_up: bool = True
    """Whether each backend does one step that does not count before the first repeat: whoever comes
    first would else read libraries and model from a cold disk."""


def cell_recipe(
    bench: TrainBench, name: str, backend: str, method: Method, chosen: Chosen
) -> RecipeTree:
    values: dict[str, Any] = {
        "name": name,
        "model": {},
        "data": {"num_train": bench.num_rows, "num_validation": 0},
        "backend": backend,
        "method": method,
        "device": bench.device,
        "train": {
            "learning_rate": _LEARNING_RATES.get(method, 1e-4),
            "num_epochs": 1,
            "batch_size": 4,
            "gradient_accumulation": 2,
            "precision": "bf16",
            "save_every": 0,
        },
        "lora": {"rank": 8, "alpha": 16.0},
        "evaluate": {"base": False, "limit": 1},
    }
    sources = (f"model.source={bench.model}", f"data.source={bench.data}")
    tree = make_recipe(values, (*sources, *bench.overrides))
    tree.values["train"].update(chosen.train)
    extra = dict(chosen.extra)
    if tree.values["train"].get("optimizer", "adamw") != "adamw":
        extra.pop("optim", None)  # AdamW's fastest form, where the recipe wants another optimiser
    if extra:
        given = tree.values.get("extra", {}).get(backend, {})
        tree.values["extra"] = {backend: {**given, **extra}}
    return tree


def require_one_cell(tree: RecipeTree) -> None:
    """Before it is written: a mistake in `--set` is told as one.

    Raises:
        UserError: The recipe is wrong, or spans a matrix.
    """
    try:
        matrix = expand(tree.values)
    except InvalidRecipe as error:
        raise as_user_error(tree, error.problems) from error
    if len(matrix.cells) > 1:
        varying = ", ".join(f"`{name}`" for name in matrix.varying)
        raise UserError(
            f"{varying}: expected one value, for a bench measures the same work everywhere",
            hint="run a bench for each value, or a study (`bakeoff run`) over all of them",
        )


def recipe_text(tree: RecipeTree, heading: str) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to import

    text = StringIO()
    YAML().dump(tree.values, text)
    return f"# {heading}\n{text.getvalue()}"
