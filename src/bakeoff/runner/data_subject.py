"""What a `bakeoff data` command is about: a recipe's rows, or a bare source's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hub import say_nothing
from bakeoff.data.inspection.subject import OpenedSplits, open_splits
from bakeoff.data.sources import Surroundings
from bakeoff.models import locate, read_chat_template
from bakeoff.planning.expand import expand
from bakeoff.planning.problems import InvalidRecipe
from bakeoff.recipes import RecipeTree, load_recipe, make_recipe
from bakeoff.runner.prepare import as_user_error
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_subject import ModelSpec

RECIPE_SUFFIXES = (".yaml", ".yml")
_NO_MODEL = "builtin:none"
"""Stands in the recipe that is made for a bare source; never looked for."""


@dataclass(frozen=True)
class Subject:
    """Rows, and how they would be trained on."""

    name: str
    recipe: Recipe
    is_recipe: bool
    opened: OpenedSplits
    model_dir: Path | None
    """Where the model lies, if it is on disk."""

    @property
    def chat(self) -> ChatTemplate | None:
        """The model's chat template, where the prompt is a chat.

        Raises:
            UserError: The model is not on disk.
        """
        if self.recipe.prompt.is_raw:
            return None
        if self.model_dir is None:
            raise UserError(
                f"{self.name}: the rows are put into a chat template with the special tokens of "
                f"{self.recipe.model.source}, which is not on disk",
                hint=f"`bakeoff model fetch {self.recipe.model.source}`, or name a folder: "
                "--model FOLDER",
            )
        return read_chat_template(self.model_dir)


def make_subject(
    name: str, overrides: Sequence[str], model: str | None, workspace: Workspace
) -> Subject:
    """Find the rows of a recipe, or of a file, folder, hub id or `builtin:NAME`.

    Args:
        name: As the person typed it.
        overrides: `KEY=VALUE` as for `bakeoff run`; of a bare source they set what a recipe would.
        model: Whose tokenizer counts; None: the recipe's.
        workspace: Where to look.

    Raises:
        UserError: The recipe is wrong, or nothing is there.
    """
    is_recipe = Path(name).suffix.lower() in RECIPE_SUFFIXES
    if is_recipe:
        tree = load_recipe(Path(name), overrides)
        base_dir = Path(name).resolve().parent
    else:
        values = {"name": "data", "model": _NO_MODEL, "data": {"source": name}}
        tree = make_recipe(values, overrides)
        base_dir = Path.cwd()
    if model is not None:
        tree = _with_model(tree, model)
    recipe = _only_one(tree)
    surroundings = Surroundings(base_dir, workspace.cache_dir, workspace.hub, say_nothing)
    return Subject(
        name,
        recipe,
        is_recipe,
        open_splits(recipe.data, surroundings, is_recipe=is_recipe),
        _model_dir(recipe.model, model, base_dir, workspace),
    )


def make_source(name: str, overrides: Sequence[str], workspace: Workspace) -> Subject:
    """As :func:`make_subject`, for what a recipe cannot be.

    Raises:
        UserError: ``name`` is a recipe, or nothing is there.
    """
    if Path(name).suffix.lower() in RECIPE_SUFFIXES:
        raise UserError(
            f"{name} is a recipe; expected the rows themselves",
            hint="name the file or folder of rows, then the folder that was made in the recipe",
        )
    return make_subject(name, overrides, None, workspace)


def _with_model(tree: RecipeTree, model: str) -> RecipeTree:
    place = Path(model).expanduser()
    source = str(place.resolve()) if place.exists() else model
    return make_recipe({**tree.values, "model": source})


def _only_one(tree: RecipeTree) -> Recipe:
    """The recipe's one cell, as far as its rows go.

    Raises:
        UserError: The cells differ in their rows, their prompts or their lengths.
    """
    try:
        matrix = expand(tree.values)
    except InvalidRecipe as error:
        raise as_user_error(tree, error.problems) from error
    recipes = [cell.recipe for cell in matrix.cells]
    parts = ("data", "prompt", "model")
    kinds = {tuple(getattr(recipe, part) for part in parts) for recipe in recipes}
    lengths = {
        (recipe.train.max_length, recipe.train.overlong, recipe.train.loss_on) for recipe in recipes
    }
    if len(kinds) > 1 or len(lengths) > 1:
        axes = [
            axis
            for axis in matrix.varying
            if axis.split(".")[0] in parts
            or axis in ("train.max_length", "train.overlong", "train.loss_on")
        ]
        raise UserError(
            f"the recipe asks for several values of {', '.join(f'`{axis}`' for axis in axes)}, "
            "so there is not one way in which its rows are trained on",
            hint=f"choose one of them, such as --set {axes[0]}=VALUE",
        )
    return recipes[0]


def _model_dir(
    spec: ModelSpec, asked: str | None, base_dir: Path, workspace: Workspace
) -> Path | None:
    if spec.source == _NO_MODEL:
        return None
    folder = locate(spec, base_dir=base_dir, cache_dir=workspace.cache_dir)
    if asked is not None and (folder is None or not (folder / "tokenizer.json").is_file()):
        what = "is not on disk" if folder is None else f"has no tokenizer.json in {folder}"
        raise UserError(
            f"--model {asked} {what}, so nothing can be counted with its tokenizer",
            hint="fetch it with a run, name a folder that holds its tokenizer.json, or leave "
            "--model out for an estimate",
        )
    return folder
