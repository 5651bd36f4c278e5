"""How a study is done on this machine, whatever its results: hubs, folders, limits, measuring."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from bakeoff.base.hub_access import HubName
from bakeoff.schema.recipe_part import Count, Positive, RecipePart


class HubSpec(RecipePart):
    """Where models and data are fetched from; of no influence on results."""

    order: tuple[HubName, ...] = ("hub", "mirror", "modelscope")
    """Asked one after the other until one has what is wanted."""

    endpoint: str | None = None
    """Address of `mirror`; https://hf-mirror.com when absent. It gets no access token."""

    modelscope_endpoint: str | None = None
    """Address of `modelscope`; https://modelscope.cn when absent."""

    @field_validator("order", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("order")
    @classmethod
    def _not_empty(cls, value: tuple[HubName, ...]) -> tuple[HubName, ...]:
        if not value:
            raise ValueError("name at least one of hub, mirror, modelscope")
        return value


class PlacesSpec(RecipePart):
    """Folders for what is large; the command line (`--runs-dir`, `--cache-dir`) goes first.

    The folder above each must be there, so that a recipe for another machine fills no small disk.
    """

    runs: str | None = None
    """Results; `runs` in the working folder when absent."""

    cache: str | None = None
    """Models, prepared data and what the tools cache; the user's cache folder when absent."""

    temporary: str | None = None
    """Temporary files of the runs; the system's place when absent."""


class LimitsSpec(RecipePart):
    """When a run is given up; of no influence on results."""

    silent_minutes: Annotated[float, Field(gt=0)] = 60.0
    """A process that tells nothing for so long hangs: it is ended, and the study goes on."""


class RaySpec(RecipePart):
    """What each task of `execution: ray` asks of the cluster."""

    address: str = "auto"
    """Of the cluster's head (`10.0.0.5:6379`); `auto`: the one that this machine is part of."""

    cpus_per_run: Annotated[float, Field(gt=0)] = 1.0
    gpus_per_run: Annotated[float, Field(ge=0)] | None = None
    """None: `world_size`, unless `device` is `cpu`."""

    memory_gb_per_run: Annotated[float, Field(gt=0)] | None = None
    """Host memory that Ray sets aside for a run; None: it counts none."""

    resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources that a machine must have to be given a run: `{h100: 1}`."""

    spread: bool = True
    """Place runs on as many machines as possible; false: fill one machine first."""

    retries: Annotated[int, Field(ge=0)] = 3
    """So many times a run is started again whose machine or process was lost."""


class SlurmSpec(RecipePart):
    """What each job of `execution: slurm` asks of the cluster."""

    partition: str | None = None
    """None: the cluster's own default; likewise for the next."""

    account: str | None = None
    hours_per_run: Annotated[float, Field(gt=0)] = 24.0
    """A training that needs longer is queued again, and goes on from its last checkpoint."""

    cpus_per_run: Positive = 4
    gpus_per_run: Count | None = None
    """None: `world_size`, unless `device` is `cpu`."""

    memory_gb_per_run: Annotated[float, Field(gt=0)] | None = None
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further options of `sbatch`: `{qos: high, constraint: a100, gres: "gpu:a100:1"}`."""

    setup: tuple[str, ...] = ()
    """Lines of shell before a run starts: `module load cuda`."""

    retries: Count = 3
    """So many times a run is queued again that came to the end of its hours."""


ClusterSpec = RaySpec | SlurmSpec


class ExchangeSpec(RecipePart):
    """How the processes of one training find each other; of no influence on results."""

    timeout_minutes: Annotated[float, Field(gt=0)] = 10.0
    """A process that waits for another so long ends the training, and says for whom it waited."""

    rendezvous: str | None = None
    """`HOST:PORT` of the first machine, where those of `nodes` meet; needed with several."""

    @field_validator("rendezvous")
    @classmethod
    def _has_a_port(cls, value: str | None) -> str | None:
        if value is not None and not value.rpartition(":")[2].isdecimal():
            raise ValueError("`HOST:PORT`, such as `10.0.0.1:29400`")
        return value


class MeasureSpec(RecipePart):
    """How time, memory and energy are measured; of no influence on what is learned."""

    interval_seconds: Annotated[float, Field(ge=0.02, le=60)] = 0.2
    """Between two readings of memory and devices; longer where reading would take 1 % of a core."""

    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    """Trainings of each cell, in turns (A B A B); those after the first serve time and memory alone
    and keep no model."""

    price_per_hour: Annotated[float, Field(gt=0)] | None = None
    """What an hour of this machine costs; the record then tells what each run cost."""

    currency: str | None = None
    """Of `price_per_hour`: `CNY`, `USD`, ..."""

    @model_validator(mode="after")
    def _price_has_a_currency(self) -> Self:
        if (self.price_per_hour is None) != (self.currency is None):
            raise ValueError("`price_per_hour` and `currency` together, or neither")
        return self
