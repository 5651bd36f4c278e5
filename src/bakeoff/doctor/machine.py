"""The facts about a machine that the checks need; gathered in ``bakeoff.doctor.read``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from bakeoff.base.hub_access import HubName

System = Literal["Linux", "Windows", "Darwin"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """As nvidia-smi names it."""

    name: str
    memory_bytes: int
    used_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """As the training environment's Python says."""

    version: str | None
    """None: not installed, or not importable."""

    error: str | None = None
    """Why it cannot be imported."""

    cuda_version: str | None = None
    """What it was built for; None: a build without CUDA."""

    sees_gpu: bool = False
    supports_bf16: bool | None = None
    """Of the GPU."""

    cpu_supports_bf16: bool | None = None
    has_mps: bool = False


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A place that fills up."""

    role: str
    """`results`, `models and data`, `temporary files`, ..."""

    path: PurePath
    variable: str
    """Environment variable that moves it."""

    device: int | None
    """Equal for folders on one disk."""

    free_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of asking one hub."""

    name: HubName
    endpoint: str
    seconds: float | None
    """None: no answer."""

    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrackerClient:
    """What `report_to` needs of this environment for one tracker."""

    name: str
    missing: tuple[str, ...]
    """Requirements that are not met, each with what is wrong."""

    command: str
    """What installs it."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    system: System
    python_version: tuple[int, int, int]
    is_64_bit: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] | None = None
    """None: there is no nvidia-smi, or it fails."""

    driver: str | None = None
    driver_cuda: str | None = None
    """The newest CUDA that the driver knows."""

    torch: TorchFacts | None = None
    """None: its Python could not be asked."""

    num_cores: int = 1
    memory_bytes: int | None = None
    available_memory_bytes: int | None = None
    folders: tuple[Folder, ...] = ()
    system_disk: int | None = None
    """Device of the system's own disk."""

    data_disk: PurePath | None = None
    """AutoDL's large disk, where there is one."""

    is_autodl: bool = False
    answers: tuple[Answer, ...] = ()
    offline: bool = False
    console_encoding: str = "utf-8"
    file_encoding: str = "utf-8"
    """Of files opened without saying one."""

    git: str | None = None
    trackers: tuple[TrackerClient, ...] = ()
