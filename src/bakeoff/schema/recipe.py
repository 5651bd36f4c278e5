"""What a person writes: one recipe is one study.

The classes here describe ONE cell: every field is a scalar (or a list that is itself a value). In
the file, a list where a scalar is allowed spans the matrix, and a mapping from method to value
(``learning_rate: {lora: 1e-3, full: 5e-5}``) chooses by method; ``bakeoff.planning.expand`` turns
the one into many of the other.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from bakeoff.schema.recipe_evaluate import EvalSpec
from bakeoff.schema.recipe_machine import (
    ClusterSpec,
    ExchangeSpec,
    HubSpec,
    LimitsSpec,
    MeasureSpec,
    PlacesSpec,
    RaySpec,
    SlurmSpec,
)
from bakeoff.schema.recipe_part import Positive, RecipePart
from bakeoff.schema.recipe_search import SearchSpec
from bakeoff.schema.recipe_subject import DataSpec, ModelSpec, PromptSpec
from bakeoff.schema.recipe_train import FreezeSpec, LoraSpec, Method, TrainSpec
from bakeoff.schema.recipe_transfer import TransferSpec

OF_THE_MACHINE = (
    "hub",
    "places",
    "limits",
    "measure",
    "env",
    "exchange",
    "search",
    "transfer",
    "execution",
    "ray",
    "slurm",
    "report_to",
)
"""Keys that say how a study is done here, not what is done: the same for all of its cells."""


def _check_name(value: str) -> str:
    if not value or not all(part.isalnum() or part in "-_." for part in value) or value[0] == ".":
        raise ValueError("only letters, digits, `-`, `_` and `.`, not starting with a dot")
    return value


class Recipe(RecipePart):
    """One cell of a study, fully resolved."""

    name: Annotated[str, AfterValidator(_check_name)]
    """The study's name: what `bakeoff report NAME` takes."""

    model: ModelSpec
    data: DataSpec
    prompt: PromptSpec = PromptSpec()

    backend: str = "builtin"
    """The trainer."""

    method: Method = "lora"
    strategy: str = "single"
    """How one training is spread over devices."""

    world_size: Positive = 1
    """Number of devices (processes) of one training, over all machines. In a list of strategies
    `single` takes one of them."""

    nodes: Positive = 1
    """Number of machines that share them evenly; see `exchange.rendezvous`."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where training and evaluation run; `auto` takes CUDA, then MPS, then the CPU."""

    seed: int = 0
    """Initial adapter weights and the order of rows."""

    train: TrainSpec = TrainSpec()
    lora: LoraSpec = LoraSpec()
    freeze: FreezeSpec = FreezeSpec()
    extra: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Further settings of one framework, in its own words: `extra: {swift: {neftune_noise_alpha:
    5}}`. What the recipe has a key for is refused."""

    evaluate: EvalSpec = EvalSpec()
    hub: HubSpec = HubSpec()
    places: PlacesSpec = PlacesSpec()
    limits: LimitsSpec = LimitsSpec()
    measure: MeasureSpec = MeasureSpec()
    exchange: ExchangeSpec = ExchangeSpec()
    env: dict[str, str] = Field(default_factory=dict)
    """Interpreters or virtual environments in place of our own: `env: {swift: ~/swift/bin/python}`.
    They are taken as they are; `bakeoff env check NAME --python PATH` proves one."""

    execution: Literal["local", "ray", "slurm"] = "local"
    """Where the runs are done: one after the other here, or side by side on a cluster."""

    ray: RaySpec = RaySpec()
    slurm: SlurmSpec = SlurmSpec()
    report_to: tuple[str, ...] = ()
    """Trackers that show the runs as they go on: `mlflow`, `swanlab`, `tensorboard`, `trackio`,
    `wandb`; of no influence on results."""

    search: SearchSpec = SearchSpec()
    transfer: TransferSpec = TransferSpec()

    @property
    def cluster(self) -> ClusterSpec | None:
        """None: the runs are done here."""
        found: dict[str, ClusterSpec] = {"ray": self.ray, "slurm": self.slurm}
        return found.get(self.execution)

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, raw: Any) -> Any:
        """`model: ID` and `data: ID` stand for a mapping with only a source."""
        if isinstance(raw, dict):
            for key in ("model", "data"):
                if isinstance(raw.get(key), str):
                    raw = {**raw, key: {"source": raw[key]}}
            # `--set places=null` takes a block out that the recipe has.
            raw = {k: v for k, v in raw.items() if not (k in OF_THE_MACHINE and v is None)}
        return raw

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value
