"""What the samples tell of GPUs and of energy."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from bakeoff.measure.gpu import gpus_in_use
from bakeoff.measure.phases import Attempt, Samples
from bakeoff.schema.record import DeviceCost, EnergyReading

Reading = Mapping[str, Any]


def device_costs(samples: Samples) -> list[DeviceCost]:
    """Of the GPUs that the run used."""
    return [
        _cost([gpu for sample in samples for gpu in sample.get("gpus", ()) if gpu["index"] == own])
        for own in sorted(gpus_in_use(samples))
    ]


def _cost(readings: Sequence[Reading]) -> DeviceCost:
    return DeviceCost(
        index=readings[0]["index"],
        name=readings[0]["name"],
        peak_process_bytes=max(_all(readings, "process_bytes"), default=None),
        peak_added_bytes=_added(_all(readings, "used_bytes")),
        mean_utilisation_share=_mean(_all(readings, "utilisation_share"), 3),
        mean_power_watts=_mean(_all(readings, "power_watts"), 1),
        max_temperature_celsius=max(_all(readings, "temperature_celsius"), default=None),
    )


def peak_added_bytes(samples: Samples) -> int | None:
    """Most memory in use on the run's GPUs at one moment, less what the first sample saw."""
    own = gpus_in_use(samples)
    found = []
    for sample in samples:
        used = [g.get("used_bytes") for g in sample.get("gpus", ()) if g["index"] in own]
        known = [size for size in used if size is not None]
        if known and len(known) == len(own):
            found.append(sum(known))
    return _added(found)


def energy_of(samples: Samples, attempts: Sequence[Attempt]) -> list[EnergyReading]:
    """Counters begin at zero with each attempt. Only GPUs that the run used are counted."""
    own = gpus_in_use(samples)
    joules: dict[tuple[str, str], float] = {}
    for attempt in attempts:
        within = [sample for sample in samples if attempt.holds(sample["at"])]
        last: dict[tuple[str, str], float] = {}
        for sample in within:
            last.update(_counters(sample, own))
        for key, value in last.items():
            joules[key] = joules.get(key, 0.0) + value
    return [
        EnergyReading.model_validate({"part": part, "source": source, "joules": round(value, 1)})
        for (part, source), value in joules.items()
    ]


def _counters(sample: Reading, own: set[int]) -> Iterator[tuple[tuple[str, str], float]]:
    for gpu in sample.get("gpus", ()):
        if gpu["index"] in own and "joules" in gpu:
            yield (f"gpu {gpu['index']}", gpu["joules_source"]), gpu["joules"]
    for name, value in sample.get("package_joules", {}).items():
        yield (f"cpu {name}", "rapl"), value


def _all(readings: Sequence[Reading], key: str) -> list[Any]:
    return [reading[key] for reading in readings if key in reading]


def _mean(values: Sequence[float], digits: int) -> float | None:
    return round(fmean(values), digits) if values else None


def _added(sizes: Sequence[int]) -> int | None:
    return max(sizes) - sizes[0] if sizes else None
