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
    """Peak memory of one process of a run, read inside it; loading and work apart.

    Host bytes are the kernel's own high-water mark of resident memory, device bytes those of
    torch's allocator on the device of the process.
    """

    rank: int
    host_bytes: int | None = None
    """While working: from the first step, validation or question on."""

    device_allocated_bytes: int | None = None
    device_reserved_bytes: int | None = None
    load_host_bytes: int | None = None
    """Before that."""

    start_host_bytes: int | None = None
    """Resident when the libraries were loaded and the weights were not."""

    load_device_allocated_bytes: int | None = None
    load_device_reserved_bytes: int | None = None


class Exchange(Document):
    """What the processes of a training sent each other, each of them, in one optimiser step."""

    formula_bytes: int | None = None
    """By the method's formula (`bakeoff.predict.exchange`)."""

    measured_bytes: int | None = None
    """By torch's profiler in one step that warmed up, in a ring's bytes; see
    `bakeoff.worker.exchange`."""

    bytes_by_collective: dict[str, int] = Field(default_factory=dict)
    """Those measured, by kind."""

    share_of_step: float | None = None
    """Of that step, the time in which an exchange went on, waiting for the others included."""


class PhaseCost(Document):
    """What one phase took, all its parts added."""

    phase: str
    """`start` (of the interpreter), then the phases of the events; `train` is told as `first_step`,
    `warm_up_steps` (the others that warm up) and `steady_steps`."""

    seconds: float
    peak_host_bytes: int | None = None
    """By the samples within it; None where none fell into it."""

    peak_device_process_bytes: int | None = None


class DeviceCost(Document):
    """What one GPU told through NVML, sampled from outside."""

    index: int
    name: str
    peak_process_bytes: int | None = None
    """Of the run's own processes; None where the driver does not tell, as on Windows."""

    peak_added_bytes: int | None = None
    """Most memory in use on the whole GPU, less what was in use before the run."""

    mean_utilisation_share: float | None = None
    """Share of time in which a kernel ran; not how full the GPU was."""

    mean_power_watts: float | None = None
    max_temperature_celsius: float | None = None


class EnergyReading(Document):
    """What one counter told over all of the run, whatever else used that part of the machine."""

    part: str
    """`gpu 0`, `cpu package-0`, ..."""

    joules: float
    source: Literal["nvml_counter", "nvml_power", "rapl"]
    """`nvml_power` is added up of samples, the others are counters of the hardware."""


class Measurement(Document):
    """Time by the worker's own marks, memory from outside over the whole process tree."""

    wall_seconds: float
    """From the start of the process to its end without `calibrate`, all attempts added."""

    setup_seconds: float | None = None
    """Before the first step: imports, loading, tokenisation."""

    train_seconds: float | None = None
    """Optimiser steps only: no validation, no checkpoints."""

    save_seconds: float | None = None
    validate_seconds: float | None = None
    evaluate_seconds: float | None = None
    phases: tuple[PhaseCost, ...] = ()
    """In the order in which they began."""

    first_step_seconds: float | None = None
    step_seconds_median: float | None = None
    num_processes: int = 1
    """That trained together; their tokens are added in `tokens_per_second`."""

    num_steps: int | None = None
    num_steady_steps: int | None = None
    """Without those that warm up: after each start as many as a tenth of the planned steps, at
    least one and at most ten."""

    num_tokens: int | None = None
    """Tokens processed: trained on, or generated."""

    num_label_tokens: int | None = None
    """Of those trained on, the ones that are learned."""

    tokens_per_second: float | None = None
    """num_tokens over train_seconds (training) or evaluate_seconds (evaluation)."""

    steady_tokens_per_second: float | None = None
    """As the next two over the steady steps only."""

    label_tokens_per_second: float | None = None
    samples_per_second: float | None = None
    """Training rows."""

    model_flops: float | None = None
    """Floating-point operations that the training needs, nothing computed twice; see
    `bakeoff.worker.model_flops`."""

    matmul_flops_per_second: float | None = None
    """What matrix products reach on the device in the training's number format, measured."""

    mfu: float | None = None
    """Model FLOPs utilisation of the steady steps: needed operations a second over that peak."""

    peak_host_bytes: int | None = None
    """The largest sample of the process tree; a shorter peak than the interval may be missed."""

    high_water_host_bytes: int | None = None
    """The kernel's high-water marks of resident memory, which miss no peak, added over the tree: an
    upper bound, since pages that are shared count in each process and peaks need not coincide."""

    host_memory_counter: Literal["pss", "rss"] | None = None
    start_host_bytes: int | None = None
    """Host memory when interpreter and libraries were loaded and the model's weights were not: peak
    minus this is what the training added, weights included."""

    added_host_bytes: int | None = None
    """What the work added to the process, weights included: the high-water marks of the processes
    less what was resident at their start, or, where the kernel keeps none, the largest sample less
    `start_host_bytes`."""

    loaded_host_bytes: int | None = None
    """Host memory when loading had ended and the first work (step, validation, question) began."""

    peak_device_allocated_bytes: int | None = None
    """Of the work, without loading; the largest rank."""

    peak_device_reserved_bytes: int | None = None
    peak_device_process_bytes: int | None = None
    """Of the tree's processes, added over the GPUs at one moment."""

    peak_device_added_bytes: int | None = None
    """Most memory in use on the GPUs less what was in use before, whoever used it."""

    peak_by_rank: tuple[RankPeak, ...] = ()
    exchange: Exchange | None = None
    """None for one process."""

    devices: tuple[DeviceCost, ...] = ()
    energy_joules: float | None = None
    """Of all readings in `energy` added: what that covers differs between machines."""

    energy: tuple[EnergyReading, ...] = ()
    cost: float | None = None
    """wall_seconds at the recipe's price an hour."""

    currency: str | None = None
    sampling_interval_seconds: float | None = None
    """Median of what it really was."""

    sampler_cpu_share: float | None = None
    """Of one core, taken by the measuring itself."""

    model_cached_share: float | None = None
    """Of the model's weights, the part that lay in the system's page cache before the start."""

    num_attempts: int = 1
    """Above 1: the run was interrupted and went on."""

    noise: dict[str, float | None] = Field(default_factory=dict)
    """What else the machine did; see `bakeoff.measure.noise`."""


class LossPoint(Document):
    step: int
    loss: float | None
    learning_rate: float | None = None
    grad_norm: float | None = None
    split: Literal["train", "validation"] = "train"


class AnswersPoint(Document):
    """A few held-out questions, asked during a training."""

    step: int
    num_questions: int
    num_right: int
    num_ended: int
    """Answers that ended by themselves."""


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

    group: str | None = None
    """The group that has a score of its own and this task within it."""


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
    answers: tuple[AnswersPoint, ...] = ()
    """Of a training with `evaluate.every`."""

    scores: tuple[Score, ...] = ()
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    prediction: Prediction | None = None
    """Of a training: what was predicted of its memory and time before it started."""

    error: str | None = None
    """Why the run did not finish, with the end of its log."""

    parent_run_id: str | None = None
    """Of an evaluation: the training whose model was scored; None for the untouched model."""

    repeat_of: str | None = None
    """Of a training that was done again for its times alone: the run that it repeats."""

    turn: int = 1
    """Of such a training: 2 for the first repetition, and so on."""


StopReason = Literal["end_token", "stop_string", "token_limit"]


class Sample(Document):
    """One scored item, a line of ``samples.jsonl``."""

    index: int
    """Position in the split of its task that is scored."""

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
    task: str | None = None
    """The task of the harness that the item is from."""

    num_prompt_tokens: int | None = None
    stop_reason: StopReason | None = None
    """What ended the answer; None where nothing was generated."""

    seconds: float | None = None
    """From the reading of the prompt to the end of the answer; others were answered beside it."""

    cluster: str | None = None
    """Items that hang together (questions about one passage, say) have the same."""
