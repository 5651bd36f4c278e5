"""NVML as `pynvml` shows it, for machines without a GPU: the calls that we make, our answers."""

from dataclasses import dataclass, field
from types import SimpleNamespace


class NVMLError(Exception):
    """What a driver that cannot tell raises."""


@dataclass
class FakeGpu:
    name: str = "NVIDIA GeForce RTX 4060 Laptop GPU"
    used: int = 500_000_000
    processes: dict[int, int | None] = field(default_factory=dict)
    utilisation: int | None = 0
    milliwatts: int | None = 20_000
    temperature: int | None = 40
    millijoules: int | None = 1_000_000
    throttle_reasons: int | None = 0


class FakeNvml:
    """A driver with these GPUs; ``is_there=False``: no driver."""

    NVMLError = NVMLError

    def __init__(self, *gpus: FakeGpu, is_there: bool = True) -> None:
        self.gpus = gpus
        self.is_there = is_there
        self.is_open = False

    def nvmlInit(self):  # noqa: N802 - NVML's names
        if not self.is_there:
            raise NVMLError("library not found")
        self.is_open = True

    def nvmlShutdown(self):  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return self.gpus[index]

    def nvmlDeviceGetName(self, gpu):  # noqa: N802
        return gpu.name

    def nvmlDeviceGetMemoryInfo(self, gpu):  # noqa: N802
        return SimpleNamespace(used=gpu.used)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):  # noqa: N802
        return [SimpleNamespace(pid=p, usedGpuMemory=size) for p, size in gpu.processes.items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu):  # noqa: N802
        raise NVMLError("not supported")

    def nvmlDeviceGetUtilizationRates(self, gpu):  # noqa: N802
        return SimpleNamespace(gpu=_told(gpu.utilisation))

    def nvmlDeviceGetPowerUsage(self, gpu):  # noqa: N802
        return _told(gpu.milliwatts)

    def nvmlDeviceGetTemperature(self, gpu, sensor):  # noqa: N802
        assert sensor == 0
        return _told(gpu.temperature)

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):  # noqa: N802
        return _told(gpu.millijoules)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu):  # noqa: N802
        return _told(gpu.throttle_reasons)


def _told(value):
    if value is None:
        raise NVMLError("not supported")
    return value
