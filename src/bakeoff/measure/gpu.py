"""What NVIDIA GPUs tell from outside a run, through NVML.

Everything may be missing: the library, the driver, a single figure (no power on a laptop, no memory
by process on Windows or in a container whose process ids the driver does not know). What is missing
is left out of a reading, and nothing stands in for it.
"""

import contextlib
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

_THERMAL_SLOWDOWN = 0x20 | 0x40
"""`nvmlClocksEventReasonSwThermalSlowdown` and `...HwThermalSlowdown` of NVML's bit mask."""

_TEMPERATURE_OF_GPU = 0
"""`NVML_TEMPERATURE_GPU`."""

_CONTEXT_BYTES = 100 * 1024**2
"""Less than what a process holds on a GPU as soon as it uses it."""


class Gpus:
    """All GPUs of the machine; close it in the end."""

    def __init__(self, nvml: Any) -> None:
        """``nvml`` is the module `pynvml`, initialised."""
        self._nvml = nvml
        self._handles = [
            nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
        ]
        self._names = [self._ask("nvmlDeviceGetName", handle) for handle in self._handles]
        self._joules_before = [self._joules(handle) for handle in self._handles]
        self._integrated = [0.0 for _ in self._handles]
        self._last: list[tuple[float, float] | None] = [None for _ in self._handles]

    @property
    def has_any(self) -> bool:
        return bool(self._handles)

    def read(self, pids: Collection[int], at: float) -> list[dict[str, Any]]:
        """One reading of each GPU.

        Args:
            pids: Of the run; memory that others hold is told apart.
            at: Seconds since the epoch.

        Returns:
            `index`, `name`, and of these what the GPU tells: `process_bytes` and `other_bytes` (of
            the run's and of other processes), `used_bytes` (of the whole GPU), `utilisation_share`,
            `power_watts`, `temperature_celsius`, `is_slowed_by_heat`, `joules` since the first
            reading and `joules_source`.
        """
        return [
            {key: value for key, value in self._read(i, pids, at).items() if value is not None}
            for i in range(len(self._handles))
        ]

    def close(self) -> None:
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _read(self, index: int, pids: Collection[int], at: float) -> dict[str, Any]:
        handle = self._handles[index]
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        use = self._ask("nvmlDeviceGetUtilizationRates", handle)
        milliwatts = self._ask("nvmlDeviceGetPowerUsage", handle)
        watts = None if milliwatts is None else milliwatts / 1000
        reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return {
            "index": index,
            "name": self._names[index] or f"GPU {index}",
            **self._by_process(handle, pids),
            "used_bytes": None if memory is None else int(memory.used),
            "utilisation_share": None if use is None else use.gpu / 100,
            "power_watts": watts,
            "temperature_celsius": self._ask(
                "nvmlDeviceGetTemperature", handle, _TEMPERATURE_OF_GPU
            ),
            "is_slowed_by_heat": None if reasons is None else bool(reasons & _THERMAL_SLOWDOWN),
            **self._energy(index, watts, at),
        }

    def _by_process(self, handle: Any, pids: Collection[int]) -> dict[str, int | None]:
        """None where no process of the run is known to the driver, or what it holds is not."""
        found: dict[int, int | None] = {}
        for kind in ("Compute", "Graphics"):
            for process in self._ask(f"nvmlDeviceGet{kind}RunningProcesses", handle) or ():
                found[process.pid] = process.usedGpuMemory
        ours = [size for pid, size in found.items() if pid in pids]
        others = [size for pid, size in found.items() if pid not in pids]
        if not ours or None in ours:
            return {"process_bytes": None}
        return {
            "process_bytes": sum(size or 0 for size in ours),
            "other_bytes": None if None in others else sum(size or 0 for size in others),
        }

    def _energy(self, index: int, watts: float | None, at: float) -> dict[str, Any]:
        before = self._joules_before[index]
        now = self._joules(self._handles[index])
        if before is not None and now is not None:
            return {"joules": now - before, "joules_source": "nvml_counter"}
        if watts is None:
            return {}
        last, self._last[index] = self._last[index], (at, watts)
        if last is not None:
            self._integrated[index] += (at - last[0]) * (watts + last[1]) / 2
        return {"joules": self._integrated[index], "joules_source": "nvml_power"}

    def _joules(self, handle: Any) -> float | None:
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        return None if millijoules is None else millijoules / 1000

    def _ask(self, function: str, *arguments: Any) -> Any:
        """None where this GPU, or this version of the library, does not tell."""
        call: Callable[..., Any] | None = getattr(self._nvml, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except self._nvml.NVMLError:
            return None


def open_gpus() -> Gpus | None:
    """None where there is no NVIDIA driver, or no GPU."""
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        gpus = Gpus(nvml)
    except nvml.NVMLError:
        return None
    if not gpus.has_any:
        gpus.close()
        return None
    return gpus


def gpus_in_use(samples: Sequence[Mapping[str, Any]]) -> set[int]:
    """Indices of the GPUs that a run used, by its part of the timeline.

    Where the driver knows no process of the run: those whose memory filled while it ran.
    """
    readings = [gpu for sample in samples for gpu in sample.get("gpus", ())]
    ours = {gpu["index"] for gpu in readings if gpu.get("process_bytes")}
    if ours:
        return ours
    before: dict[int, int] = {}
    filled = set()
    for gpu in readings:
        used = gpu.get("used_bytes")
        if used is not None and used > before.setdefault(gpu["index"], used) + _CONTEXT_BYTES:
            filled.add(gpu["index"])
    return filled
