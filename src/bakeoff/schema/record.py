"""What a run left behind: outcome, measurement, losses, scores, provenance.

Written last and atomically, so that its presence means complete. A number that was not measured is
None, never 0 or a guess. Bytes, seconds and tokens are in the names.
"""

from typing import Any, Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.events import Status
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.prediction import Prediction


class DataFacts(Document):
    """What the run saw of its data."""

    digest: str
    num_examples: int
    num_train_tokens: int | None = None
    """Tokens of one pass over the training rows."""

    num_label_tokens: int | None = None
    num_truncated: int | None = None
    num_dropped: int | None = None
    num_overlapping: int | None = None
    """Test questions that stand in the training split (0 unless the recipe allows it)."""


class RankPeak(Document):
    """Peak memory of one process of a distributed run."""

    rank: int
    host_bytes: int | None = None
    device_allocated_bytes: int | None = None
    device_reserved_bytes: int | None = None


class Measurement(Document):
    """Time by the worker's own marks, memory from outside over the whole process tree."""

    wall_seconds: float
    """From the start of the process to its end, all attempts of a resumed run added."""

    setup_seconds: float | None = None
    """Before the first step: imports, loading, tokenisation."""

    train_seconds: float | None = None
    """Optimiser steps only: no validation, no checkpoints."""

    save_seconds: float | None = None
    validate_seconds: float | None = None
    evaluate_seconds: float | None = None
    step_seconds_median: float | None = None
    num_steps: int | None = None
    num_tokens: int | None = None
    """Tokens processed: trained on, or generated."""

    tokens_per_second: float | None = None
    """num_tokens over train_seconds (training) or evaluate_seconds (evaluation)."""

    peak_host_bytes: int | None = None
    host_memory_counter: Literal["pss", "rss"] | None = None
    start_host_bytes: int | None = None
    """Host memory when the first phase after loading began; peak minus this is what it added."""

    peak_device_allocated_bytes: int | None = None
    peak_device_reserved_bytes: int | None = None
    peak_device_process_bytes: int | None = None
    peak_by_rank: tuple[RankPeak, ...] = ()
    energy_joules: float | None = None
    sampling_interval_seconds: float | None = None
    num_attempts: int = 1
    """Above 1: the run was interrupted and went on."""

    noise: dict[str, float | None] = Field(default_factory=dict)
    """What else the machine did: load_average_1m_at_start and _at_end, busy_share, steal_share."""


class LossPoint(Document):
    step: int
    loss: float | None
    learning_rate: float | None = None
    grad_norm: float | None = None
    split: Literal["train", "validation"] = "train"


class Score(Document):
    """One metric of one task under one filter."""

    task: str
    metric: str
    filter: str
    num_fewshot: int
    value: float
    stderr: float | None
    """Standard error as the harness computes it (normal approximation)."""

    num_samples: int
    engine: str
    samples_path: str
    """Per-sample outputs, relative to the run's directory."""


class Provenance(Document):
    """Everything needed to doubt the result, or to get it again."""

    bakeoff_version: str
    git_commit: str | None
    git_dirty: bool | None
    packages: dict[str, str]
    """Versions in the environment that did the work."""

    lock_digest: str | None
    """Of ``packages``: equal where the same versions did the work."""

    model_source: str
    model_revision: str | None
    model_digest: str | None
    data_digest: str | None
    template_digest: str | None
    hardware: dict[str, Any]
    driver: str | None
    command_line: tuple[str, ...]
    environment: dict[str, str]
    """Variables that change results or speed, as the child process saw them."""

    started_at: str
    """ISO 8601, UTC."""

    ended_at: str


class Record(Document):
    run_id: str
    study: str
    kind: Literal["train", "eval"]
    status: Status
    cell: dict[str, AxisValue]
    effective: dict[str, Any]
    """Every setting that was really used, as the backend or engine resolved it."""

    data: DataFacts | None
    measurement: Measurement | None
    losses: tuple[LossPoint, ...] = ()
    scores: tuple[Score, ...] = ()
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    prediction: Prediction | None = None
    """Of a training: what was predicted of its memory and time before it started."""

    error: str | None = None
    """Why the run did not finish, with the end of its log."""

    parent_run_id: str | None = None
    """Of an evaluation: the training whose model was scored; None for the untouched model."""


class Sample(Document):
    """One scored item, a line of ``samples.jsonl``."""

    index: int
    """Position in the task's test split."""

    item_digest: str
    """Of the question and target as the task holds them: equal in two runs, equal item."""

    prompt_digest: str
    """Of the text that the model saw, few-shot examples included."""

    prompt: str
    output: str
    target: str
    extracted: dict[str, str | None]
    """By filter; None where nothing could be extracted."""

    correct: dict[str, float]
    """By `metric,filter`."""

    num_output_tokens: int | None = None
    hit_token_limit: bool | None = None
