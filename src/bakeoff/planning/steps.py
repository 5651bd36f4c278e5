"""Cells -> plan: the steps of a study, each once, each with its content id."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bakeoff.base.hashing import short_id
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
    World,
)
from bakeoff.schema.recipe import Recipe
from bakeoff.schema.recipe_subject import DataSpec, ModelSpec
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


def make_plan(matrix: Matrix, fingerprints: Fingerprints) -> Plan:
    """Order the work: models and data, untouched models, then each training with its scores.

    Trainings that are repeated for their times come first, in turns (A B A B) and with nothing in
    between, so that what changes slowly (heat, other users) falls on all of them alike.
    """
    known = Fingerprints(  # local files are read once, however many cells use them
        of_model=functools.cache(fingerprints.of_model),
        of_data=functools.cache(fingerprints.of_data),
        environment=fingerprints.environment,
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


class _CellSteps:
    """The steps that one cell needs."""

    def __init__(self, cell: Cell, fingerprints: Fingerprints) -> None:
        self._recipe: Recipe = cell.recipe
        self._axes = cell.axes
        self._model_print = fingerprints.of_model(cell.recipe.model)
        self._data_print = fingerprints.of_data(cell.recipe.data)
        self._environment = fingerprints.environment(cell.recipe)

    def sources(self) -> Iterator[Step]:
        if self._environment is not None:
            yield self._environment
        yield ModelStep(id=self._model_id, model=self._recipe.model)
        yield DataStep(
            id=self._data_id,
            data=self._recipe.data,
            prompt=self._recipe.prompt,
            model_id=self._template_model,
        )

    def base_evaluations(self) -> Iterator[Step]:
        if self._recipe.evaluate.base:
            yield from self._evaluations(train_id=None, axes={})

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
        yield from self._evaluations(train_id=plan.id, axes=self._axes)

    @property
    def _train_axes(self) -> dict[str, AxisValue]:
        """Without those that only its evaluations vary over."""
        return {
            name: value for name, value in self._axes.items() if not name.startswith("evaluate.")
        }

    @property
    def _model_id(self) -> str:
        return short_id(["model", ID_VERSION, self._model_print])

    @property
    def _template_model(self) -> str | None:
        """Plain text is the same text for every model."""
        return None if self._recipe.prompt.is_raw else self._model_id

    @property
    def _data_id(self) -> str:
        return self._data_key(without=set())

    def _data_key(self, *, without: set[str]) -> str:
        """Where the rows came from is in the fingerprint; a copy elsewhere is the same data."""
        told_by_fingerprint = {"source", "train", "validation", "test", "revision", "subset"}
        spec = self._recipe.data.model_dump(mode="json", exclude=told_by_fingerprint | without)
        prompt = self._recipe.prompt.model_dump(mode="json")
        read = [self._data_print, spec, prompt, self._template_model]
        return short_id(["data", ID_VERSION, *read])

    def _asked_key(self, num_fewshot: int) -> str:
        """What an evaluation reads: test rows alone, unless examples are drawn from the others.

        The test rows are drawn in the same way however many rows the other splits keep.
        """
        unread = {"num_train", "num_validation"} if num_fewshot == 0 else set[str]()
        return self._data_key(without={"allow_overlap"} | unread)

    def _train_plan(self) -> TrainPlan:
        recipe = self._recipe
        fields = {
            "model_id": self._model_id,
            "data_id": self._data_id,
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
            "extra": recipe.extra.get(recipe.backend, {}),
        }
        draft = TrainPlan.model_validate({"id": "", "axes": {}, **fields})
        return draft.model_copy(update={"id": _train_id(draft), "axes": self._train_axes})

    def _evaluations(
        self, *, train_id: str | None, axes: dict[str, AxisValue]
    ) -> Iterator[EvalPlan]:
        recipe = self._recipe
        spec = recipe.evaluate
        for task in spec.tasks:
            for num_fewshot in spec.num_fewshot:
                draft = EvalPlan(
                    id="",
                    model_id=self._model_id,
                    train_id=train_id,
                    data_id=self._data_id if task == OWN_TASK else None,
                    trust_remote_code=recipe.model.trust_remote_code,
                    prompt=recipe.prompt,
                    task=task,
                    num_fewshot=num_fewshot,
                    limit=spec.limit,
                    max_new_tokens=spec.max_new_tokens,
                    batch_size=spec.batch_size,
                    engine=spec.engine,
                    precision=spec.precision,
                    merged=spec.merged and train_id is not None,
                    device=recipe.device,
                    seed=spec.seed,
                    axes={},
                )
                asked = self._asked_key(num_fewshot) if task == OWN_TASK else None
                yield draft.model_copy(update={"id": _eval_id(draft, asked), "axes": axes})


def _train_id(step: TrainPlan) -> str:
    """How often a checkpoint is written changes nothing that is learnt."""
    read = step.model_dump(
        mode="json", exclude={"id", "axes", "repeats", "trust_remote_code", "turn"}
    )
    del read["train"]["save_every"]
    return short_id([ID_VERSION, read])


def _eval_id(step: EvalPlan, asked: str | None) -> str:
    unread = {"id", "axes", "data_id", "trust_remote_code"}  # the model's id knows of trust
    return short_id([ID_VERSION, asked, step.model_dump(mode="json", exclude=unread)])
