"""What `bakeoff bench NAME --json` prints: the same work done side by side, and ratios of its cost.

A ratio is the other's figure divided by ours, from pairs of runs: above 1 we are ahead. Lists hold
one value a repeat, in the order of the repeats, None where a repeat did not measure it.
"""

from typing import Any, Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.recipe_train import Method

Setting = Literal["default", "best", "lean"]
"""`default`: what the framework does by itself where only the cost changes; `best`: its fastest
documented setting on this device; `lean`: its leanest."""

SETTINGS: tuple[Setting, ...] = ("default", "best", "lean")
Values = tuple[float | None, ...]
Bytes = tuple[int | None, ...]


class Spread(Document):
    """A ratio over pairs of runs."""

    median: float
    low: float | None
    """None with a single pair: one run says nothing about its spread."""

    high: float | None


class BenchCell(Document):
    """One backend, or one engine of evaluations, in one setting, over all repeats."""

    backend: str | None = None
    engine: str | None = None
    setting: Setting
    method: Method | None = None
    """None where nothing is trained."""

    seconds: Values
    """Of the work itself: optimiser steps, the preparation of the rows, or the answers."""

    start_seconds: Values
    """From the start of the process until that work begins."""

    peak_host_bytes: Bytes
    """Of the process tree, from outside."""

    added_host_bytes: Bytes
    """The peak over what the process held before."""

    peak_device_bytes: Bytes = ()
    """Peak that torch's allocator gave out on the GPU; empty where no run used one."""

    train_loss: Values = ()
    """Mean over the steps of each run."""

    scores: dict[str, float] = Field(default_factory=dict)
    digest: str | None = None
    """Of the token ids and labels, in order: the work. None unless the same in all repeats."""

    facts: dict[str, Any] = Field(default_factory=dict)
    """What else was the same in all repeats: steps, label tokens, versions."""

    settings: dict[str, Any] = Field(default_factory=dict)
    """Keys of the recipe, or of the framework (`extra`), that make this setting."""

    why: str = ""
    """What the setting is, in words."""

    runs: tuple[str | None, ...] = ()
    """Folders of the runs, relative to the bench's own folder."""

    failures: tuple[str, ...] = ()
    """Why a repeat has no figures."""

    @property
    def name(self) -> str:
        return self.backend or self.engine or ""


class BenchRatio(Document):
    """What the same work costs one backend, in multiples of what it costs another."""

    of: str
    to: str
    setting: Setting
    method: Method | None = None
    time: Spread | None
    memory: Spread | None
    """Of peak_host_bytes."""

    added_memory: Spread | None
    start: Spread | None
    device_memory: Spread | None = None
    num_pairs: int
    interval: Literal["min-max", "bootstrap 95 %"] | None
    """What low and high are; None with a single pair."""

    loss_difference: float | None = None
    """Mean train loss, the other's minus ours."""

    same_text_share: float | None = None
    """Of the answers, those that are the same text in both."""

    refused: str | None = None
    """Why the two are not compared; there are no ratios then."""


class Bench(Document):
    """One benchmark."""

    bench: str
    work: dict[str, Any]
    """Digests and sizes of what every cell did."""

    machine: dict[str, Any]
    """What it was done on, and what else went on there meanwhile."""

    cells: tuple[BenchCell, ...]
    ratios: tuple[BenchRatio, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know before believing the figures."""


class SamplerCell(Document):
    """The sampler of the timeline over an idle process of a known size."""

    held_bytes: int
    """What the process holds beside its interpreter."""

    sampled_bytes: int
    """Median of the samples."""

    seconds: float
    num_samples: int
    interval_seconds: float | None
    """Median between two samples."""

    core_share: float
    """Of one core, used by the sampling process, which did nothing else."""


class PeakCell(Document):
    """Short peaks of a known height."""

    held_bytes: int
    """What the process holds all the time; the more, the rarer the samples."""

    peak_seconds: float
    """How long the memory of a peak was held."""

    num_peaks: int
    num_seen: int
    """Those of which a sample shows nine tenths of the height or more."""


class SamplerBench(Document):
    bench: Literal["sampler"] = "sampler"
    work: dict[str, Any]
    machine: dict[str, Any]
    cells: tuple[SamplerCell, ...]
    peaks: tuple[PeakCell, ...]
    ratios: tuple[BenchRatio, ...] = ()
    notes: tuple[str, ...] = ()


class PageCell(Document):
    """One page of `bakeoff ui`."""

    page: str
    path: str
    seconds: tuple[float, ...]
    """Of each time it was asked for, from the request to the last byte."""

    median_seconds: float
    num_bytes: int


class PageBench(Document):
    bench: Literal["page"] = "page"
    work: dict[str, Any]
    machine: dict[str, Any]
    cells: tuple[PageCell, ...]
    limit_seconds: float
    """What a page may take at the median."""

    ratios: tuple[BenchRatio, ...] = ()
