"""What a prediction reads: the model's shape, and what is free here."""

from collections.abc import Sequence
from pathlib import Path

import psutil

from bakeoff import models
from bakeoff.base.files import read_json
from bakeoff.base.process import capture
from bakeoff.predict.device import (
    Device,
    device_named,
    device_of_size,
    parse_bytes,
    replace_memory,
)
from bakeoff.predict.gpus import GPUS, find_gpu, match_device_name
from bakeoff.predict.shape import known_shape, shape_of_config, with_layers
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import ModelStep
from bakeoff.schema.prediction import ModelShape

_MIB = 1024**2
_QUERY = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free",
    "--format=csv,noheader,nounits",
)


def shape_of_step(step: ModelStep, study: PreparedStudy, workspace: Workspace) -> ModelShape | None:
    """From the model's files if they are here, else from the table of well-known models."""
    folder = models.locate_whole(step.model, base_dir=study.base_dir, cache_dir=workspace.cache_dir)
    if folder is not None and (folder / "config.json").is_file():
        shape = shape_of_config(read_json(folder / "config.json"), name=step.model.source)
    else:
        shape = known_shape(step.model.source.removeprefix("builtin:"))
    layers = step.model.num_hidden_layers
    return shape if shape is None or layers is None else with_layers(shape, layers)


def folder_of(step: ModelStep, study: PreparedStudy, workspace: Workspace) -> Path | None:
    return models.locate(step.model, base_dir=study.base_dir, cache_dir=workspace.cache_dir)


def device_here(wanted: str) -> Device:
    """The machine at hand, as a recipe's ``device`` asks for it."""
    gpus = [] if wanted == "cpu" else gpus_here()
    if gpus:
        name, total, free = gpus[0]
        kind = match_device_name(name) or GPUS["rtx4090-24gb"]
        gpu = replace_memory(kind, total).model_copy(update={"title": name})
        return Device(title=name, gpu=gpu, limit_bytes=free, limit_is=f"free on {name} now")
    free = psutil.virtual_memory().available
    return Device(title="CPU", gpu=None, limit_bytes=free, limit_is="free host memory now")


def gpus_here() -> Sequence[tuple[str, int, int]]:
    """Name, total and free bytes of each GPU that the driver lists; empty where there is none."""
    text = capture(_QUERY, cwd=Path.cwd())
    found = []
    for line in (text or "").splitlines():
        name, total, free = (part.strip() for part in line.rsplit(",", 2))
        if total.isdigit() and free.isdigit():
            found.append((name, int(total) * _MIB, int(free) * _MIB))
    return found


def device_asked(gpu: str | None, memory: str | None) -> Device:
    """As a person names it: a kind of GPU, a size of memory, both, or (neither) this machine.

    Raises:
        UserError: There is no such GPU, or the size is none.
    """
    if memory is not None:
        size = parse_bytes(memory, option="--memory")
        if gpu == "cpu":
            return device_of_size(size, gpu=None, is_cpu=True)
        return device_of_size(size, gpu=find_gpu(gpu) if gpu else None, is_cpu=False)
    if gpu is not None and gpu != "cpu":
        return device_named(gpu)
    return device_here("cpu" if gpu == "cpu" else "auto")
