"""What a training would need on devices that are not here. Every number is a prediction."""

from typing import Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.prediction import Gpu

Scaling = Literal["strong", "weak"]
"""`strong`: equally many rows a step whatever the number of devices; `weak`: for each device."""


class Link(Document):
    """A way between devices, as NCCL's own model of costs sees it."""

    key: str
    title: str
    place: Literal["inside", "between"]
    """Within a machine, or between machines."""

    gigabytes_per_second: float
    """One way, of one device (`inside`) or one adapter (`between`)."""

    kind: Literal["nvlink", "pcie", "network"]


class Cluster(Document):
    """Machines of one kind."""

    gpu: Gpu
    devices_per_node: int
    inside: Link
    between: Link
    num_adapters: int
    """Network adapters of a machine."""

    pcie_gigabytes_per_second: float
    """From one device to its host."""

    host_gigabytes_per_second: float
    """Of a machine's memory, shared by its devices."""


class SimulatedStep(Document):
    """One optimiser step of one strategy on so many devices. All of it is predicted."""

    strategy: str
    num_devices: int
    num_nodes: int
    scaling: Scaling
    rows_per_step: int
    rows_a_pass: int
    num_passes: int
    needed_bytes: int
    """Of each device: what the driver would show for the process."""

    host_bytes: int
    """Of the host's memory that a machine's devices use for what is offloaded."""

    fits: bool
    compute_seconds: float
    exchange_seconds: float
    """All of the exchange, hidden or not."""

    exposed_seconds: float
    """That which a device waits for."""

    optimizer_seconds: float
    offload_seconds: float
    """Waiting for the way to the host; the host's own arithmetic is the optimiser's."""

    sent_bytes: int
    """By each device."""

    tokens_per_second: float
    """Over all devices."""

    efficiency: float | None = None
    """Tokens a second of a device over those of the reference; None: nothing fits."""

    on_front: bool = False
    """Of those that fit on equally many devices, none needs less memory and time at once."""

    @property
    def seconds(self) -> float:
        """Of the step."""
        return (
            self.compute_seconds
            + self.exposed_seconds
            + self.optimizer_seconds
            + self.offload_seconds
        )


class SimulatedTraining(Document):
    """Every strategy on every number of devices, for one training of a recipe."""

    cell: dict[str, AxisValue]
    steps: tuple[SimulatedStep, ...]
    reference: dict[Scaling, str]
    """What efficiency is held against."""

    advice: dict[Scaling, str]
    assumptions: tuple[str, ...]
    problem: str | None = None
    """Why nothing could be predicted."""


class Simulation(Document):
    """Printed by ``bakeoff simulate --json``."""

    kind: Literal["prediction"] = "prediction"
    study: str
    cluster: Cluster
    limit_bytes: int
    mfu: float
    """Share of the GPU's stated speed while it computes."""

    trainings: tuple[SimulatedTraining, ...]


class SpeedScore(Document):
    """A published change of speed beside the predicted one."""

    source: str
    case: str
    published_ratio: float
    """Tokens a second of a device over those of the first row of the same source and model."""

    predicted_ratio: float
    relative_error: float
    """(predicted - published) / published."""


class SimulatorBench(Document):
    """Printed by ``bakeoff bench simulate --json``."""

    bench: Literal["simulate"] = "simulate"
    cases: tuple[SpeedScore, ...] = Field(default_factory=tuple)
    median_error: float
    worst_error: float
    unchanged_error: float
    """Median error of saying that no speed changes: what a prediction has to be held against."""
