"""A model, perhaps with an adapter, and what it is to be asked -> a study without a training."""

import functools
from dataclasses import dataclass
from pathlib import Path

from bakeoff import data, models
from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json
from bakeoff.base.hashing import digest_files
from bakeoff.planning.eval_steps import EvalSubject
from bakeoff.planning.expand import expand
from bakeoff.planning.problems import InvalidRecipe
from bakeoff.planning.steps import Fingerprints, make_evaluation_plan
from bakeoff.recipes import RecipeTree
from bakeoff.runner.environments import engine_environment_of
from bakeoff.runner.prepare import PreparedStudy, as_user_error, problems_of
from bakeoff.schema.plan import ModelStep, TrainPlan
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.store.runs import RECORD, Store

_ADAPTER_CONFIG = "adapter_config.json"
_READ_SUFFIXES = (".safetensors", ".bin", ".json")


@dataclass(frozen=True)
class Adapter:
    """What a training left, here or elsewhere."""

    folder: Path
    training: TrainPlan | None = None
    """None: no training of this store made it."""

    prompt: PromptSpec | None = None
    """How its rows were put, where that is known."""


def find_adapter(name: str, store: Store) -> Adapter:
    """The folder of that name, or what the training run of that name made.

    Raises:
        UserError: There is neither, or the folder holds no adapter and no model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        run_dir = folder.resolve().parent
        if run_dir.parent == store.runs_dir.resolve() and (run_dir / RECORD).is_file():
            return _of_run(run_dir.name, store)
        if not any((folder / file).is_file() for file in (_ADAPTER_CONFIG, "config.json")):
            raise UserError(
                f"{folder} holds neither an {_ADAPTER_CONFIG} nor a config.json",
                hint="name the folder that the trainer saved: of LLaMA-Factory its output_dir, of "
                "ms-swift a checkpoint-N",
            )
        return Adapter(folder.resolve())
    if not store.runs_dir.is_dir():
        raise UserError(f"there is no folder {name}, and no runs in {store.runs_dir}")
    return _of_run(store.find(name).run_id, store)


def _of_run(run_id: str, store: Store) -> Adapter:
    record = store.find(run_id)
    if record.kind != "train" or record.status != "finished":
        what = "an evaluation" if record.kind == "eval" else "a training that did not finish"
        raise UserError(f"{run_id} is {what}; a finished training was expected")
    run_dir = store.run_dir(run_id)
    training = TrainPlan.model_validate(read_json(run_dir / "plan.json"))
    result = read_json(run_dir / "result.json")
    return Adapter(
        run_dir / result["artefact"], training, _prompt_of(record.study, training, store)
    )


def _prompt_of(study: str, training: TrainPlan, store: Store) -> PromptSpec | None:
    try:
        return store.study(study).plan.prompt_of(training.data_id)
    except UserError:
        return None


def prepare_evaluation(
    tree: RecipeTree, *, adapter: Adapter | None, with_base: bool, cache_dir: Path
) -> PreparedStudy:
    """Plan and check; touches the disk to read local models, data and task files only.

    Args:
        tree: a recipe of one cell; its method, trainer and training settings are not read.
        adapter: what is laid over its model; None: the model is asked as it is.
        with_base: whether the model is asked without the adapter too.
        cache_dir: where digests of large files are remembered.

    Raises:
        UserError: with every problem found.
    """
    base_dir = Path.cwd()
    try:
        cells = expand(tree.values).cells
    except InvalidRecipe as error:
        raise as_user_error(tree, error.problems) from error
    if len(cells) > 1:
        raise UserError(
            "one value of each setting was expected; only tasks, examples and ways of "
            "asking may be several"
        )
    fingerprints = Fingerprints(
        of_model=functools.cache(
            lambda spec: models.fingerprint(spec, base_dir=base_dir, cache_dir=cache_dir)
        ),
        of_data=functools.cache(lambda spec: data.fingerprint(spec, base_dir=base_dir)),
        engine_environment=engine_environment_of,
    )
    subjects = [EvalSubject()] if adapter is None or with_base else []
    if adapter is not None:
        subjects.append(_subject(adapter))
    plan = make_evaluation_plan(cells[0], fingerprints, subjects)
    training = adapter.training if adapter is not None else None
    asked_model = next(step.id for step in plan.steps if isinstance(step, ModelStep))
    if training is not None and training.model_id != asked_model:
        raise UserError(
            f"{adapter and adapter.folder} was trained on another model than "
            f"{cells[0].recipe.model.source}",
            hint="name the model that it was trained on",
        )
    if problems := list(dict.fromkeys(problems_of(plan))):
        raise as_user_error(tree, problems)
    return PreparedStudy(
        tree=tree, plan=plan, base_dir=base_dir, trainings=(training,) if training else ()
    )


def _subject(adapter: Adapter) -> EvalSubject:
    training = adapter.training
    if training is not None:
        return EvalSubject(training.axes, training.id, trained_prompt=adapter.prompt)
    files = {
        path.name: path
        for path in adapter.folder.iterdir()
        if path.is_file() and path.suffix in _READ_SUFFIXES
    }
    return EvalSubject(
        {"adapter": "/".join(adapter.folder.parts[-2:])},
        adapter=str(adapter.folder),
        adapter_digest=digest_files(files),
    )
