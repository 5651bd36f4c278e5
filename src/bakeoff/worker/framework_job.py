"""The job file of a training by a framework."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from bakeoff.worker.settings import TrainJob, read_job


@dataclass(frozen=True, kw_only=True)
class FrameworkJob(TrainJob):
    """A training as the built-in trainer is told it, and who does it instead."""

    framework: str
    config_file: str
    extra: dict[str, Any]
    only_prepare: bool
    """Write everything that the framework's own command needs, and start nothing."""


def read_framework_job(raw: dict[str, Any]) -> FrameworkJob:
    """The typed job; a missing or unknown key is an error that names it."""
    raw = dict(raw)
    own = {name: raw.pop(name) for name in ("framework", "config_file", "extra")}
    only_prepare = raw.pop("only_prepare", False)
    job = read_job(raw)
    shared = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    return FrameworkJob(**shared, **own, only_prepare=only_prepare)
