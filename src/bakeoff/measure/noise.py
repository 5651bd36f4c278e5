"""What else the machine did while a run was measured, and when that is worth a warning.

What is told, where the system tells it:

- `load_average_1m_at_start`, `load_average_1m_at_end`
- `busy_share`: of all processor time, by the run or by others
- `steal_share`: of all processor time, what a hypervisor gave to other machines
- `other_busy_share`: of all processor time, what other processes used
- `cpu_frequency_drop_share`: how much slower the last third of the run was clocked than the first
- `gpu_used_bytes_before`: memory in use on the run's GPUs before it began
- `gpu_other_bytes`: the most that other processes held there while it ran
- `gpu_slowed_by_heat_share`: of the samples, those in which a GPU was slowed down by heat
"""

import contextlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from bakeoff.measure.gpu import gpus_in_use

_SHORTEST_SECONDS = 10.0
"""Of a run that is worth a warning: in a shorter one the counters are too coarse."""

_STEAL, _OTHERS, _FREQUENCY, _HEAT = 0.02, 0.1, 0.1, 0.05
_GPU_BYTES = 256 * 1024**2
"""What a desktop may hold without being in the way."""

Noise = dict[str, float | None]


@dataclass(frozen=True)
class NoiseMark:
    """Counters of the machine at one moment."""

    idle_seconds: float
    """Waiting for a disk is idle too."""

    steal_seconds: float | None
    total_seconds: float
    load_average_1m: float | None


def mark_noise() -> NoiseMark:
    times = psutil.cpu_times()
    load: float | None = None
    with contextlib.suppress(OSError):
        load = psutil.getloadavg()[0]
    return NoiseMark(
        idle_seconds=times.idle + getattr(times, "iowait", 0.0),
        steal_seconds=getattr(times, "steal", None),
        total_seconds=sum(times[:8]),
        load_average_1m=load,
    )


def noise_between(
    before: NoiseMark, after: NoiseMark, samples: Sequence[Mapping[str, Any]] = ()
) -> Noise:
    """Of one attempt.

    Args:
        before: Taken when it started.
        after: Taken when it had ended.
        samples: Its part of the timeline.
    """
    found: Noise = {
        "load_average_1m_at_start": before.load_average_1m,
        "load_average_1m_at_end": after.load_average_1m,
        **_of_processors(before, after, samples),
        "cpu_frequency_drop_share": _frequency_drop(samples),
        **_of_gpus(samples),
    }
    return {key: value for key, value in found.items() if value is not None}


def _of_processors(
    before: NoiseMark, after: NoiseMark, samples: Sequence[Mapping[str, Any]]
) -> Noise:
    total = after.total_seconds - before.total_seconds
    if total <= 0:
        return {}
    busy = total - (after.idle_seconds - before.idle_seconds)
    steal = (
        None
        if before.steal_seconds is None or after.steal_seconds is None
        else after.steal_seconds - before.steal_seconds
    )
    others = busy - (steal or 0.0) - samples[-1]["cpu_seconds"] if samples else None
    return {
        "busy_share": round(busy / total, 4),
        "steal_share": None if steal is None else round(steal / total, 4),
        "other_busy_share": None if others is None else round(max(others, 0.0) / total, 4),
    }


def _frequency_drop(samples: Sequence[Mapping[str, Any]]) -> float | None:
    found = [sample["cpu_megahertz"] for sample in samples if "cpu_megahertz" in sample]
    third = len(found) // 3
    if third < 2:
        return None
    first, last = statistics.median(found[:third]), statistics.median(found[-third:])
    return round(float(1 - last / first), 4)


def _of_gpus(samples: Sequence[Mapping[str, Any]]) -> Noise:
    """Of those that the run used."""
    readings = [gpu for sample in samples for gpu in sample.get("gpus", ())]
    ours = gpus_in_use(samples)
    readings = [gpu for gpu in readings if gpu["index"] in ours]
    first = {gpu["index"]: gpu.get("used_bytes") for gpu in reversed(readings)}
    known = [size for size in first.values() if size is not None]
    heat = [gpu["is_slowed_by_heat"] for gpu in readings if "is_slowed_by_heat" in gpu]
    return {
        "gpu_used_bytes_before": sum(known) if known else None,
        "gpu_other_bytes": max(
            (gpu["other_bytes"] for gpu in readings if "other_bytes" in gpu), default=None
        ),
        "gpu_slowed_by_heat_share": round(sum(heat) / len(heat), 4) if heat else None,
    }


def noise_warnings(noise: Noise, seconds: float) -> Iterator[str]:
    """Sentences for whoever wants to trust the run's times, where something disturbed them."""
    if seconds < _SHORTEST_SECONDS:
        return
    if level := _level(noise.get("other_busy_share"), _OTHERS):
        yield (
            f"Other programs used {level} of the processors during this run: its times are too "
            "long by some unknown part."
        )
    if level := _level(noise.get("steal_share"), _STEAL):
        yield (
            f"The host of this virtual machine withheld {level} of the processor time during this "
            "run: its times are too long."
        )
    if level := _level(noise.get("cpu_frequency_drop_share"), _FREQUENCY):
        yield (
            f"The processors were clocked lower by {level} at the end of this run than at its "
            "beginning (heat, or saving of power): its steps slowed down."
        )
    if level := _level(noise.get("gpu_slowed_by_heat_share"), _HEAT):
        yield f"A GPU was slowed down by heat for {level} of this run: its times are too long."
    held = (noise.get(key) or 0.0 for key in ("gpu_used_bytes_before", "gpu_other_bytes"))
    if max(held) > _GPU_BYTES:
        yield (
            "Other programs held memory of the GPU before or during this run: its times may be too "
            "long, and less was free for training."
        )


def _level(share: float | None, least: float) -> str | None:
    """In steps, so that equal warnings of several runs are told once; None: not worth telling."""
    passed = [level for level in (least, 0.1, 0.25, 0.5) if share is not None and share > level]
    return f"more than {max(passed):.0%}" if share is not None and share > least else None
