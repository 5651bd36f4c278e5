"""A recipe that is being written: as a text, as the fields of a form, as a checked plan."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from bakeoff.base.errors import UserError
from bakeoff.base.files import write_text_atomic
from bakeoff.dashboard.site import Site
from bakeoff.runner.fit_check import predict_steps
from bakeoff.runner.plan_costs import cost_of
from bakeoff.runner.prepare import PreparedStudy, prepare_study
from bakeoff.runner.progress import step_name, steps_done_before
from bakeoff.runner.step_names import describe
from bakeoff.schema.plan import TrainPlan
from bakeoff.store.runs import STUDIES

MOST_CHARACTERS = 100_000
RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class FormField:
    key: str
    label: str
    options: tuple[str, ...] = ()
    """To choose from; a field takes several with commas, for a matrix."""

    wide: bool = False


FORM: tuple[FormField, ...] = (
    FormField("name", "Name of the study"),
    FormField("model", "Model", wide=True),
    FormField("data", "Data", wide=True),
    FormField("backend", "Trainer", ("builtin", "llamafactory", "swift")),
    FormField("method", "Method", ("lora", "full", "qlora", "freeze")),
    FormField("seed", "Seed"),
    FormField("train.learning_rate", "Learning rate"),
    FormField("train.num_epochs", "Passes over the data"),
    FormField("train.batch_size", "Rows a pass"),
    FormField("train.gradient_accumulation", "Passes a step"),
    FormField("train.max_length", "Longest row, tokens"),
    FormField("lora.rank", "LoRA rank"),
    FormField("data.num_train", "Training rows"),
    FormField("data.num_test", "Test questions"),
    FormField("evaluate.num_fewshot", "Examples in the prompt"),
)


@dataclass(frozen=True)
class PlannedStep:
    text: str
    is_done: bool
    seconds: float | None
    peak_bytes: int | None
    is_guess: bool


@dataclass(frozen=True)
class CheckedPlan:
    study: str
    num_trainings: int
    steps: tuple[PlannedStep, ...]
    seconds_left: float | None
    """Of the steps that are to do; None while some are unknown."""

    exists: bool
    """A study of this name is in the store."""


def form_values(text: str) -> dict[str, str]:
    """What stands in the recipe, by the form's keys; nothing of a text that is no mapping."""
    tree = _load(text)
    return {} if tree is None else {field.key: _shown(tree, field.key) for field in FORM}


def set_value(text: str, key: str, value: str) -> str:
    """The recipe with one key changed, its comments and order as they were.

    Raises:
        UserError: the text, or the value, is not YAML.
    """
    tree = _load(text)
    if tree is None:
        raise UserError("the recipe is not valid YAML", hint="mend the text first")
    parts = key.split(".")
    here: Any = tree
    for part in parts[:-1]:
        below = here.get(part)
        if isinstance(below, str):
            below = CommentedMap(source=below)
        if not isinstance(below, dict):
            below = CommentedMap()
        here[part] = below
        here = below
    if parts[-1] in ("model", "data") and isinstance(here.get(parts[-1]), dict):
        here, parts = here[parts[-1]], ["source"]
    if value.strip():
        here[parts[-1]] = _parsed(value)
    else:
        here.pop(parts[-1], None)
    out = StringIO()
    _yaml().dump(tree, out)
    return out.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.width = 1000
    yaml.preserve_quotes = True
    return yaml


def _load(text: str) -> CommentedMap | None:
    try:
        tree = _yaml().load(StringIO(text))
    except YAMLError:
        return None
    return tree if isinstance(tree, CommentedMap) else None


def _shown(tree: Any, key: str) -> str:
    for part in key.split("."):
        if isinstance(tree, str):
            return ""
        tree = tree.get(part) if isinstance(tree, dict) else None
    if key in ("model", "data") and isinstance(tree, dict):
        tree = tree.get("source")
    if tree is None:
        return ""
    if isinstance(tree, list):
        return ", ".join(str(item) for item in tree)
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{name}: {value}" for name, value in tree.items()) + "}"
    return str(tree)


def _parsed(value: str) -> Any:
    text = value.strip()
    # `lora, full` is a list to everybody who fills in a form.
    if "," in text and text[0] not in "[{\"'":
        text = f"[{text}]"
    try:
        return _yaml().load(StringIO(text))
    except YAMLError as error:
        raise UserError(f"`{value}` is not valid YAML") from error


@contextmanager
def _as_file(site: Site, text: str) -> Iterator[Path]:
    """Beside the studies, so that relative paths mean what they will mean when it is run."""
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"the recipe is longer than {MOST_CHARACTERS:,} characters")
    folder = site.runs_dir / STUDIES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".draft-") as name:
        path = Path(name) / RECIPE
        path.write_text(text, encoding="utf-8")
        try:
            yield path
        except UserError as error:
            # The file is nobody's concern, its lines are.
            shown = str(error).replace(str(path), RECIPE)
            raise UserError(shown, hint=error.hint) from error


def check(site: Site, text: str) -> CheckedPlan:
    """The plan with what it is thought to cost.

    Raises:
        UserError: every mistake in it, with line and key.
    """
    with _as_file(site, text) as path:
        workspace = site.workspace_of(path, ())
        study = prepare_study(path, (), cache_dir=workspace.cache_dir)
        done = steps_done_before(study, workspace)
        predicted = predict_steps(study, workspace, done)
    plan = study.plan
    steps = []
    for step in plan.steps:
        seconds, peak, is_guess = cost_of(step, plan, done, predicted)
        is_done = step_name(step) in done
        steps.append(PlannedStep(describe(step, plan.axes), is_done, seconds, peak, is_guess))
    left = [step.seconds for step in steps if not step.is_done]
    known = [seconds for seconds in left if seconds is not None]
    return CheckedPlan(
        study=plan.study,
        num_trainings=sum(isinstance(step, TrainPlan) for step in plan.steps),
        steps=tuple(steps),
        seconds_left=sum(known) if known else None,
        exists=site.store.lists.study_facts(plan.study) is not None,
    )


def keep(site: Site, text: str) -> tuple[str, Path]:
    """Write the recipe into its study's folder: the study's name and the file.

    Raises:
        UserError: every mistake in it, with line and key.
    """
    with _as_file(site, text) as path:
        workspace = site.workspace_of(path, ())
        study: PreparedStudy = prepare_study(path, (), cache_dir=workspace.cache_dir)
    name = study.plan.study
    if re.fullmatch(r"[\w.-]+", name) is None or name.startswith("."):
        raise UserError(
            f"`name: {name}` cannot name a folder", hint="use letters, digits, `-` and `_`"
        )
    kept = site.runs_dir / STUDIES / name / RECIPE
    write_text_atomic(kept, text)
    return name, kept
