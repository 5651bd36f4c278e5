"""Cells -> plan: the steps of a study, each once, each with its content id."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bakeoff.base.hashing import short_id
from bakeoff.planning.eval_steps import EvalInputs, EvalSubject, evaluations, prompts_of
from bakeoff.planning.expand import Cell, Matrix
from bakeoff.schema.plan import (
    OWN_TASK,
    AxisValue,
    DataStep,
    EnvironmentStep,
    EvalPlan,
    ModelStep,
    Plan,
    Step,
    TrainPlan,
    Watch,
    World,
)
from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_evaluate import DEFAULT_MAX_NEW_TOKENS
from bakeoff.schema.recipe_subject import DataSpec, ModelSpec, PromptSpec
from bakeoff.schema.recipe_train import ADAPTER_METHODS

ID_VERSION = 1
"""Part of every content id: raised when the same recipe would no longer do the same work."""


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """What identifies the contents of a source without fetching it."""

    of_model: Callable[[ModelSpec], str]
    of_data: Callable[[DataSpec], str]
    environment: Callable[[Recipe], EnvironmentStep | None] = lambda _: None
    """That of the recipe's backend; None: it needs none of its own."""

    engine_environment: Callable[[Recipe], EnvironmentStep | None] = lambda _: None
    """That of the recipe's engine of evaluation, likewise."""


def make_plan(matrix: Matrix, fingerprints: Fingerprints) -> Plan:
    """Order the work: models and data, untouched models, then each training with its scores.

    Trainings that are repeated for their times come first, in turns (A B A B) and with nothing in
    between, so that what changes slowly (heat, other users) falls on all of them alike.
    """
    known = Fingerprints(  # local files are read once, however many cells use them
        of_model=functools.cache(fingerprints.of_model),
        of_data=functools.cache(fingerprints.of_data),
        environment=fingerprints.environment,
        engine_environment=fingerprints.engine_environment,
    )
    builders = [_CellSteps(cell, known) for cell in matrix.cells]
    ordered: dict[str, Step] = {}
    num_repeats = matrix.cells[0].recipe.measure.repeats
    turns = [partial(_CellSteps.training, turn=turn) for turn in range(1, num_repeats + 1)]
    phases: Sequence[Callable[[_CellSteps], Iterator[Step]]] = (
        _CellSteps.sources,
        _CellSteps.base_evaluations,
        *(turns if num_repeats > 1 else []),
        _CellSteps.scored_training,
    )
    for phase in phases:
        for builder in builders:
            for step in phase(builder):
                ordered.setdefault(f"{step.kind}-{step.id}", step)
    return Plan(
        study=matrix.cells[0].recipe.name, axes=matrix.varying, steps=tuple(ordered.values())
    )


def make_evaluation_plan(
    cell: Cell, fingerprints: Fingerprints, subjects: Sequence[EvalSubject]
) -> Plan:
    """What it takes to ask some models, with nothing trained: the command `bakeoff eval`.

    The steps are those that a study with the same settings has, so that each finds the other's.
    """
    steps = _CellSteps(cell, fingerprints)
    own = OWN_TASK in cell.recipe.evaluate.tasks
    data = [steps.data_step(prompt) for prompt in prompts_of(cell.recipe)] if own else []
    asked = [step for subject in subjects for step in steps.evaluations(subject)]
    engine = steps.engine_environment
    sources: list[Step] = [steps.model_step, *data]
    if engine is not None:
        sources.insert(0, engine)
    return Plan(study=cell.recipe.name, axes=(), steps=(*sources, *asked))


class _CellSteps:
    """The steps that one cell needs."""

    def __init__(self, cell: Cell, fingerprints: Fingerprints) -> None:
        self._recipe: Recipe = cell.recipe
        self._axes = cell.axes
        self._model_print = fingerprints.of_model(cell.recipe.model)
        self._fingerprints = fingerprints
        self._environment = fingerprints.environment(cell.recipe)
        self.engine_environment = fingerprints.engine_environment(cell.recipe)

    def sources(self) -> Iterator[Step]:
        if self._environment is not None:
            yield self._environment
        if self.engine_environment is not None:
            yield self.engine_environment
        yield self.model_step
        asked = prompts_of(self._recipe) if OWN_TASK in self._recipe.evaluate.tasks else []
        for prompt in dict.fromkeys([self._recipe.prompt, *asked]):
            yield self.data_step(prompt)

    @property
    def model_step(self) -> ModelStep:
        return ModelStep(id=self._model_id, model=self._recipe.model)

    def data_step(self, prompt: PromptSpec) -> DataStep:
        """The recipe's rows, put in this way."""
        return DataStep(
            id=self._data_id(prompt),
            data=self._recipe.data,
            prompt=prompt,
            model_id=self._template_model(prompt),
        )

    def base_evaluations(self) -> Iterator[Step]:
        if self._recipe.evaluate.base:
            yield from self.evaluations(EvalSubject())

    def training(self, *, turn: int) -> Iterator[Step]:
        """The training, or one that does the same again."""
        plan = self._train_plan()
        if turn == 1:
            yield plan
        else:
            update = {"id": short_id([plan.id, turn]), "repeats": plan.id, "turn": turn}
            yield plan.model_copy(update=update)

    def scored_training(self) -> Iterator[Step]:
        plan = self._train_plan()
        yield plan
        yield from self.evaluations(
            EvalSubject(self._axes, plan.id, trained_prompt=self._recipe.prompt)
        )

    @property
    def _train_axes(self) -> dict[str, AxisValue]:
        """Without those that only its evaluations vary over."""
        return {
            name: value for name, value in self._axes.items() if not name.startswith("evaluate.")
        }

    @property
    def _model_id(self) -> str:
        return short_id(["model", ID_VERSION, self._model_print])

    def _template_model(self, prompt: PromptSpec) -> str | None:
        """Plain text is the same text for every model."""
        return None if prompt.is_raw else self._model_id

    def _data_id(self, prompt: PromptSpec) -> str:
        return self._data_key(prompt, without=set())

    def _data_key(self, prompt: PromptSpec, *, without: set[str]) -> str:
        """Where the rows came from is in the fingerprint; a copy elsewhere is the same data."""
        told_by_fingerprint = {"source", "train", "validation", "test", "revision", "subset"}
        spec = self._recipe.data.model_dump(mode="json", exclude=told_by_fingerprint | without)
        put = prompt.model_dump(mode="json")
        read = [
            self._fingerprints.of_data(self._recipe.data),
            spec,
            put,
            self._template_model(prompt),
        ]
        return short_id(["data", ID_VERSION, *read])

    def _asked_key(self, prompt: PromptSpec, num_fewshot: int) -> str:
        """What an evaluation reads: test rows alone, unless examples are drawn from the others.

        The test rows are drawn in the same way however many rows the other splits keep.
        """
        alone = num_fewshot == 0 and self._recipe.evaluate.split == "test"
        unread = {"num_train", "num_validation"} if alone else set[str]()
        return self._data_key(prompt, without={"allow_overlap"} | unread)

    def _train_plan(self) -> TrainPlan:
        recipe = self._recipe
        fields = {
            "model_id": self._model_id,
            "data_id": self._data_id(self._recipe.prompt),
            "trust_remote_code": recipe.model.trust_remote_code,
            "environment_id": self._environment and self._environment.id,
            "backend": recipe.backend,
            "method": recipe.method,
            "strategy": recipe.strategy,
            "world": World(
                num_nodes=recipe.nodes, devices_per_node=recipe.world_size // recipe.nodes
            ),
            "device": recipe.device,
            "seed": recipe.seed,
            "train": recipe.train,
            "lora": recipe.lora if recipe.method in ADAPTER_METHODS else None,
            "freeze": recipe.freeze if recipe.method == "freeze" else None,
            "watch": _watch(recipe),
            "extra": recipe.extra.get(recipe.backend, {}),
        }
        draft = TrainPlan.model_validate({"id": "", "axes": {}, **fields})
        return draft.model_copy(update={"id": _train_id(draft), "axes": self._train_axes})

    def evaluations(self, subject: EvalSubject) -> Iterator[EvalPlan]:
        """Those of one model, which this cell need not have trained."""
        engine = self.engine_environment
        inputs = EvalInputs(
            model_id=self._model_id,
            environment_id=None if engine is None else engine.id,
            data_id=self._data_id,
            asked_key=self._asked_key,
        )
        return evaluations(self._recipe, subject, inputs, version=ID_VERSION)


def _watch(recipe: Recipe) -> Watch | None:
    spec = recipe.evaluate
    if not spec.every or recipe.backend != "builtin":
        return None
    longest = spec.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
    return Watch(every=spec.every, num_questions=spec.every_questions, max_new_tokens=longest)


def _train_id(step: TrainPlan) -> str:
    """How often a checkpoint is written changes nothing that is learnt."""
    read = step.model_dump(
        mode="json", exclude={"id", "axes", "repeats", "trust_remote_code", "turn"}
    )
    del read["train"]["save_every"]
    if step.train.optimizer == "adamw":  # as before there were others
        del read["train"]["optimizer"]
    if step.watch is None:
        del read["watch"]
    return short_id([ID_VERSION, read])
