"""What will be run, fully resolved; nothing executed yet.

A step is known by its content id: equal inputs give an equal id, so that work done once is found
again. Ids of inputs stand in for the inputs: the id of a training holds that of its data and model.
"""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.recipe_part import Precision
from bakeoff.schema.recipe_subject import DataSpec, ModelSpec, PromptSpec
from bakeoff.schema.recipe_train import FreezeSpec, LoraSpec, Method, TrainSpec

AxisValue = str | int | float | bool | None
Device = Literal["auto", "cpu", "cuda", "mps"]

OWN_TASK = "data"
"""The task that asks the recipe's own test split."""


class Dialect(StrEnum):
    """A way of telling a trainer how to distribute itself."""

    PLAIN = "plain"
    TORCHRUN = "torchrun"
    HF_FSDP = "hf_fsdp"
    DEEPSPEED_JSON = "deepspeed_json"


class Launch(Document):
    """A child process: what to run, with which environment, next to which files."""

    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    files: dict[PurePosixPath, str] = Field(default_factory=dict)
    """Written into the run directory before the start."""


class World(Document):
    num_nodes: Annotated[int, Field(ge=1)] = 1
    devices_per_node: Annotated[int, Field(ge=1)] = 1

    @property
    def num_processes(self) -> int:
        return self.num_nodes * self.devices_per_node


class Distribution(Document):
    """What a strategy says to one backend about one training."""

    dialect: Dialect
    world: World
    settings: dict[str, Any]
    """In that dialect."""


class Problem(Document):
    """Why a plan cannot run; ``hint`` is the change that would make it run."""

    key: str
    message: str
    hint: str | None = None


class ModelStep(Document):
    """Bring the model to disk."""

    kind: Literal["model"] = "model"
    id: str
    model: ModelSpec


class EnvironmentStep(Document):
    """Install the environment that a framework runs in."""

    kind: Literal["environment"] = "environment"
    id: str
    name: str
    """As `bakeoff env` calls it."""

    given: str | None
    """Interpreter or folder that the recipe names instead; None: our own, from its lock."""


class DataStep(Document):
    """Bring the rows to disk: checked, split, in canonical form and as rendered text."""

    kind: Literal["data"] = "data"
    id: str
    data: DataSpec
    prompt: PromptSpec
    model_id: str | None
    """Whose chat template and special tokens the rows are rendered with; None: nobody's."""


class Watch(Document):
    """A few held-out questions that are asked while a training goes on."""

    every: int
    """Optimiser steps."""

    num_questions: int
    max_new_tokens: int


class TrainPlan(Document):
    """One training."""

    kind: Literal["train"] = "train"
    id: str
    model_id: str
    data_id: str
    environment_id: str | None = None
    """Where the backend runs; None: in the interpreter that runs bakeoff's own jobs."""

    backend: str
    method: Method
    strategy: str
    world: World = World()
    device: Device
    seed: int
    train: TrainSpec
    lora: LoraSpec | None
    """None unless the method trains an adapter."""

    freeze: FreezeSpec | None = None
    """None unless the method is `freeze`."""

    extra: dict[str, Any] = Field(default_factory=dict)
    """Settings of the backend in its own words, as the recipe has them."""

    watch: Watch | None = None
    trust_remote_code: bool = False
    """Whether Python files that came with the model may run."""

    repeats: str | None = None
    """Id of the training that this one does again for its times; None: its model is the result."""

    turn: int = 1
    """How many times it is done, this one included."""

    axes: dict[str, AxisValue]
    """The cell: backend, method, strategy, world_size, seed and every further matrix axis."""


class EvalPlan(Document):
    """One evaluation: one model, one task, one number of examples."""

    kind: Literal["eval"] = "eval"
    id: str
    model_id: str
    train_id: str | None
    """None: the untouched model, or ``adapter`` over it."""

    adapter: str | None = None
    """A folder with an adapter or a full model that no training here made; absolute."""

    adapter_digest: str | None = None
    environment_id: str | None = None
    """Where the engine runs; None: in the interpreter that runs bakeoff's own jobs."""

    data_id: str | None
    """None when the harness brings the task's data itself."""

    prompt: PromptSpec
    trained_prompt: PromptSpec | None = None
    """How the rows of the model's training were put; None: not known, or not trained."""

    task: str
    split: Literal["test", "validation"] = "test"
    """Of the recipe's own rows."""

    num_fewshot: int
    limit: int | None
    max_new_tokens: int | None
    """None: what the task says itself."""

    temperature: float = 0.0
    top_p: float = 1.0
    until: tuple[str, ...] | None = None
    """None: what the task says itself."""

    include_path: str | None = None
    """A folder with further task files; absolute."""

    task_data: str | None = None
    """A folder with the task's rows in place of a hub's; absolute."""

    files_digest: str | None = None
    """Of the files of the two."""

    batch_size: int | Literal["auto"]
    world_size: int = 1
    """Processes that share the questions, each with the whole model."""

    engine: str
    precision: Precision
    merged: bool = False
    device: Device
    seed: int
    trust_remote_code: bool = False
    """Whether Python files that came with the model may run."""

    axes: dict[str, AxisValue]
    """The cell of the training that made the model; empty for the untouched one."""


Source = ModelStep | DataStep | EnvironmentStep
"""Steps that bring what runs need; they leave no record."""

Step = Annotated[Source | TrainPlan | EvalPlan, Field(discriminator="kind")]


def run_name(step: TrainPlan | EvalPlan) -> str:
    """The run's id: what it is, for people, and its content id, for good."""
    if isinstance(step, TrainPlan):
        return f"train-{step.backend}-{step.method}-{step.id}"
    if step.train_id is not None:
        who = step.axes.get("method", "tuned")
    else:
        who = "base" if step.adapter is None else "adapter"
    return f"eval-{who}-{step.task}-{step.num_fewshot}shot-{step.id}"


def first_of(step: TrainPlan) -> TrainPlan:
    """The training that this one repeats, or itself."""
    return step.model_copy(update={"id": step.repeats or step.id, "repeats": None, "turn": 1})


class Plan(Document):
    """A study: every step, each after those that it needs."""

    study: str
    axes: tuple[str, ...]
    """Names of the axes with more than one value, in the order of the recipe."""

    steps: tuple[Step, ...]

    @property
    def runs(self) -> list[TrainPlan | EvalPlan]:
        """Steps that leave a record, in order."""
        return [step for step in self.steps if isinstance(step, TrainPlan | EvalPlan)]

    def prompt_of(self, data_id: str) -> PromptSpec | None:
        """How those rows are put; None: the plan has no such rows."""
        found = (s.prompt for s in self.steps if isinstance(s, DataStep) and s.id == data_id)
        return next(found, None)
