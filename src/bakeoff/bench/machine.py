"""What a bench ran on, and what else went on there meanwhile."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from bakeoff.base.cores import num_cores
from bakeoff.base.process import capture
from bakeoff.measure.host import memory_counter
from bakeoff.schema.record import Record

_OTHERS_LOAD = 1.0
"""Programs that want to run, above one a core (a trainer's own), that make times doubtful."""

_STOLEN = 0.02


def has_gpu(environment: Mapping[str, str]) -> bool:
    """Whether `device: auto` finds an NVIDIA GPU."""
    if environment.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    return bool(capture(["nvidia-smi", "-L"], cwd=Path.cwd()))


def machine_now() -> dict[str, Any]:
    """As this process sees it."""
    return {
        "system": platform.platform(),
        "cpu": platform.processor() or platform.machine(),
        "num_cpu_cores": os.cpu_count(),
        "num_usable_cpu_cores": num_cores(),
        "host_memory_bytes": psutil.virtual_memory().total,
        "host_memory_counter": memory_counter(),
    }


def describe_machine(records: Sequence[Record]) -> dict[str, Any]:
    """As the first worker saw it, with the noise of each run."""
    hardware = next((r.provenance.hardware for r in records if r.provenance.hardware), {})
    counters = {r.measurement.host_memory_counter for r in records if r.measurement is not None}
    return {
        **hardware,
        "host_memory_counter": next(iter(counters)) if len(counters) == 1 else None,
        "noise": [
            {"run_id": r.run_id, "started_at": r.provenance.started_at, **r.measurement.noise}
            for r in sorted(records, key=lambda r: r.provenance.started_at)
            if r.measurement is not None
        ],
    }


def noise_notes(records: Sequence[Record]) -> Iterator[str]:
    """Which runs something else on the machine disturbed, as far as that shows."""
    for record in records:
        if record.measurement is not None:
            who = f"{record.run_id} at {record.provenance.started_at}"
            yield from disturbances(who, record.measurement.noise)


def disturbances(who: str, noise: Mapping[str, float | None]) -> Iterator[str]:
    """What makes the times of ``who`` doubtful."""
    num_cores = os.cpu_count() or 1
    stolen, load = noise.get("steal_share") or 0.0, noise.get("load_average_1m_at_end") or 0.0
    if stolen > _STOLEN:
        yield (
            f"{who}: a hypervisor took {stolen:.0%} of the processor time: its times are too long"
        )
    if load > num_cores + _OTHERS_LOAD:
        yield (
            f"{who}: load {load:.1f} on {num_cores} cores at its end; other programs were "
            "running, and its times are too long"
        )
