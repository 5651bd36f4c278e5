"""The evaluations of one model: every task, number of examples and way of asking, each once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_folder, short_id
from bakeoff.schema.plan import OWN_TASK, AxisValue, EvalPlan
from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_evaluate import DEFAULT_MAX_NEW_TOKENS, Asking
from bakeoff.schema.recipe_subject import PromptSpec

AskedKey = Callable[[PromptSpec, int], str]
"""Of the rows that the task `data` reads, by how they are put and by the number of examples."""


@dataclass(frozen=True)
class EvalSubject:
    """Which model is asked: the untouched one, that of a training, or one with an adapter."""

    axes: Mapping[str, AxisValue] = field(default_factory=dict)
    train_id: str | None = None
    adapter: str | None = None
    adapter_digest: str | None = None
    trained_prompt: PromptSpec | None = None
    """How the rows of its training were put, where that is known."""


def prompts_of(recipe: Recipe) -> list[PromptSpec]:
    """How questions are put, one for each way that the recipe asks for."""
    found = [_prompt(recipe.prompt, asking) for asking in recipe.evaluate.ask]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class EvalInputs:
    """Ids of what the evaluations of a recipe read."""

    model_id: str
    environment_id: str | None
    data_id: Callable[[PromptSpec], str]
    asked_key: AskedKey


def evaluations(
    recipe: Recipe, subject: EvalSubject, inputs: EvalInputs, *, version: int
) -> Iterator[EvalPlan]:
    """In the order of the recipe.

    Raises:
        UserError: A folder that the recipe names is not there.
    """
    spec = recipe.evaluate
    for task in spec.tasks:
        own = task == OWN_TASK
        for prompt in prompts_of(recipe):
            for num_fewshot in spec.num_fewshot:
                draft = EvalPlan(
                    id="",
                    model_id=inputs.model_id,
                    train_id=subject.train_id,
                    adapter=subject.adapter,
                    adapter_digest=subject.adapter_digest,
                    environment_id=inputs.environment_id,
                    data_id=inputs.data_id(prompt) if own else None,
                    trust_remote_code=recipe.model.trust_remote_code,
                    prompt=prompt,
                    trained_prompt=subject.trained_prompt,
                    task=task,
                    split=spec.split if own else "test",
                    include_path=None if own else spec.include_path,
                    task_data=spec.task_data.get(task),
                    files_digest=None if own else _files_digest(recipe, task),
                    num_fewshot=num_fewshot,
                    limit=spec.limit,
                    max_new_tokens=spec.max_new_tokens or (DEFAULT_MAX_NEW_TOKENS if own else None),
                    temperature=spec.temperature,
                    top_p=spec.top_p,
                    until=spec.until,
                    batch_size=spec.batch_size,
                    world_size=spec.world_size,
                    engine=spec.engine,
                    precision=spec.precision,
                    merged=spec.merged and (subject.train_id or subject.adapter) is not None,
                    device=recipe.device,
                    seed=spec.seed,
                    axes={},
                )
                asked = inputs.asked_key(prompt, num_fewshot) if own else None
                new_id = _eval_id(draft, asked, version)
                yield draft.model_copy(update={"id": new_id, "axes": dict(subject.axes)})


def _prompt(prompt: PromptSpec, asking: Asking) -> PromptSpec:
    if asking == "raw":
        return prompt if prompt.is_raw else PromptSpec()
    if asking == "chat" and prompt.is_raw:
        return PromptSpec.model_validate({"template": "chat"})
    return prompt


def _files_digest(recipe: Recipe, task: str) -> str | None:
    spec = recipe.evaluate
    named = {"include_path": spec.include_path, f"task_data.{task}": spec.task_data.get(task)}
    found = {}
    for key, name in named.items():
        if name is not None and not Path(name).is_dir():
            raise UserError(
                f"`evaluate.{key}`: there is no folder {name}",
                hint="a relative path starts at the recipe's folder",
            )
        if name is not None:
            found[key] = digest_folder(Path(name))
    return short_id(found) if found else None


def _eval_id(step: EvalPlan, asked: str | None, version: int) -> str:
    """What the answers depend on; where files lie is not among it."""
    unread = {
        "id",
        "adapter",
        "axes",
        "data_id",
        "include_path",
        "task_data",
        "trained_prompt",
        "trust_remote_code",  # the model's id knows of trust
    }
    if step.split == "test":
        unread.add("split")
    if step.world_size == 1:
        unread.add("world_size")
    return short_id([version, asked, step.model_dump(mode="json", exclude=unread)])
