"""What a training is fitted to: a GPU of the table, a size, or the machine at hand."""

import re
from dataclasses import dataclass, replace

from bakeoff.base.errors import UserError
from bakeoff.predict.gpus import GPUS, find_gpu, usable_bytes
from bakeoff.schema.prediction import Gpu

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_ANY_GPU = "rtx4090-24gb"


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where, and how much memory there is."""

    title: str
    gpu: Gpu | None
    """None: a CPU."""

    limit_bytes: int | None
    """What a training may need; None: nobody knows."""

    limit_is: str


def device_named(name: str) -> Device:
    """A GPU of the table, with what a process can have of it.

    Raises:
        UserError: the table has no such GPU.
    """
    gpu = find_gpu(name)
    return Device(
        title=gpu.title,
        gpu=gpu,
        limit_bytes=usable_bytes(gpu),
        limit_is=f"usable memory of a {gpu.title}",
    )


def device_of_size(num_bytes: int, *, gpu: Gpu | None, is_cpu: bool) -> Device:
    """Any device with so much memory, used to the last byte."""
    if is_cpu:
        return Device(
            title="CPU", gpu=None, limit_bytes=num_bytes, limit_is="--memory, for the training"
        )
    kind = gpu if gpu is not None else GPUS[_ANY_GPU]
    title = kind.title if gpu is not None else f"a GPU with {num_bytes / 1e9:.1f} GB"
    return Device(
        title=title,
        gpu=replace_memory(kind, num_bytes),
        limit_bytes=num_bytes,
        limit_is="--memory",
    )


def replace_memory(gpu: Gpu, num_bytes: int) -> Gpu:
    return gpu.model_copy(update={"memory_bytes": num_bytes})


def with_limit(device: Device, limit_bytes: int | None, limit_is: str) -> Device:
    return replace(device, limit_bytes=limit_bytes, limit_is=limit_is)


def parse_bytes(text: str, *, option: str) -> int:
    """`8GB` is 8e9, `8GiB` 8 x 2^30, `8G` as `8GB`.

    Raises:
        UserError: it is no size.
    """
    match = re.fullmatch(r"([\d.]+)\s*([kmgt]?)(i?)b?", text.strip().lower())
    try:
        value = float(match.group(1)) if match else 0.0
    except ValueError:
        value = 0.0
    if match is None or value <= 0:
        raise UserError(f"{option}: expected a size such as 8GB or 7.5GiB; got `{text}`")
    unit, binary = match.group(2), match.group(3)
    return round(value * (_BINARY if binary and unit else _UNITS)[unit])
