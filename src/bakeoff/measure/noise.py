"""What else the machine did while a run was measured."""

import contextlib
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class NoiseMark:
    """Counters of the machine at one moment."""

    idle_seconds: float
    steal_seconds: float | None
    total_seconds: float
    load_average_1m: float | None


def mark_noise() -> NoiseMark:
    times = psutil.cpu_times()
    load: float | None = None
    with contextlib.suppress(OSError):
        load = psutil.getloadavg()[0]
    return NoiseMark(
        idle_seconds=times.idle,
        steal_seconds=getattr(times, "steal", None),
        total_seconds=sum(times[:8]),
        load_average_1m=load,
    )


def noise_between(before: NoiseMark, after: NoiseMark) -> dict[str, float | None]:
    """Load at both ends, and the shares of all processor time that were busy or stolen."""
    loads = {
        "load_average_1m_at_start": before.load_average_1m,
        "load_average_1m_at_end": after.load_average_1m,
    }
    total = after.total_seconds - before.total_seconds
    if total <= 0:
        return loads
    steal = (
        None
        if before.steal_seconds is None or after.steal_seconds is None
        else round((after.steal_seconds - before.steal_seconds) / total, 4)
    )
    return {
        **loads,
        "busy_share": round(1 - (after.idle_seconds - before.idle_seconds) / total, 4),
        "steal_share": steal,
    }
