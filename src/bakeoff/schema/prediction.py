"""What is said of a training before it runs: memory by part and counter, time, and what to change.

Bytes are of one device (or of the host, on a CPU); a number that cannot be told is None.
"""

from typing import Literal

from pydantic import Field

from bakeoff.schema.document import Document

Source = Literal["trace", "analytic"]
"""`trace`: the real step of the real model class was run without data; `analytic`: from the model's
configuration alone."""

Counter = Literal["allocated", "reserved", "process", "host"]
"""What tensors take; what torch's allocator holds for them; what the driver shows for the process;
what the training adds to the host's memory over the start of the process."""

PartName = Literal[
    "weights", "adapter", "gradients", "optimizer", "optimizer_transient", "activations",
    "checkpoints", "logits", "communication", "other",
]  # fmt: skip


class ModelShape(Document):
    """What the memory of a decoder follows from."""

    name: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    tied: bool
    """Whether the output layer is the embedding."""

    gated: bool = True
    """Three matrices in the feed-forward part (SwiGLU), not two."""

    fused_attention_input: bool = False
    """Query, key and value in one matrix (`c_attn`, `query_key_value`)."""

    attention_bias: bool = False
    norm_in_fp32: bool = True
    """RMSNorm that goes through fp32 and keeps that copy, not a fused LayerNorm."""

    bounded_logits: bool = False
    """Soft-capped logits (gemma 2), which need copies of their own."""

    experts: int = 0
    """Of each layer, in mixtures of experts; 0: a token goes through all of a layer."""

    idle: int = 0
    """Numbers in a layer's experts that a token does not meet, and in what chooses among them;
    ``intermediate`` is the width of those that it meets, all together."""

    largest_expert_tensor: int = 0
    """Numbers in gates and up-projections of a layer's experts, which are one tensor."""

    parameters: int
    largest_parameter: int
    """Numbers in the largest single tensor: most often the embedding."""

    quantised_bits: int | None = None
    """Of weights that come quantised."""


class Gpu(Document):
    """One kind of GPU."""

    key: str
    title: str
    memory_bytes: int
    """What CUDA reports as total: less than the name says."""

    bf16_tflops: float
    """Dense, with fp32 accumulation, as the maker states it (fp16 where there is no bf16)."""

    bandwidth_gb: float
    """GB/s of its memory."""

    generation: str
    has_bf16: bool = True


class Part(Document):
    name: PartName
    num_bytes: int


class Prediction(Document):
    """The peak of one training on one device."""

    source: Source
    device: Literal["cuda", "cpu"]
    allocated_bytes: int
    """Peak of what tensors take."""

    reserved_bytes: int | None
    """Peak of what the caching allocator holds; None on a CPU."""

    process_bytes: int | None
    """With the CUDA context; None on a CPU."""

    host_bytes: int | None
    """On a CPU: what the training adds to the process after its imports."""

    low_bytes: int
    """No less than this is needed with any luck: compared before a run is refused."""

    peak_at: str
    """The moment of the peak: `loss`, `backward` or `optimizer step`."""

    parts: tuple[Part, ...]
    """Of ``allocated_bytes``, at that moment."""

    batch_rows: int
    row_tokens: int
    """Length of the rows of the largest forward pass."""

    assumptions: tuple[str, ...] = ()
    seconds: float | None = None
    """Optimiser steps only."""

    seconds_from: str | None = None
    disk_bytes: int | None = None
    """Checkpoints and artefact at their largest."""

    @property
    def needed_bytes(self) -> int:
        """What has to be free: the counter that the device's limit is about."""
        return next(
            value
            for value in (self.process_bytes, self.host_bytes, self.allocated_bytes)
            if value is not None
        )


class Change(Document):
    """A change of the recipe that needs less memory."""

    settings: tuple[str, ...]
    """KEY=VALUE, as ``--set`` takes them."""

    text: str
    needed_bytes: int
    """With this change and those before it in the list."""

    time_factor: float
    """Training time with these changes over that of the recipe."""

    keeps_result: bool
    """Whether the same is learnt, up to rounding."""


class Claim(Document):
    """Whether a figure is possible."""

    claimed_bytes: int
    floor_bytes: int
    """Less than this no implementation of the method needs."""

    is_possible: bool
    reasons: tuple[str, ...]


class FittedRun(Document):
    """One training of a recipe on one device."""

    run: str
    cell: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    prediction: Prediction | None
    limit_bytes: int | None
    """Of a process."""

    num_processes: int = 1
    """Of the training; the prediction is of one of them."""

    fits: bool | None
    changes: tuple[Change, ...] = ()
    """In the order in which to make them; with all of them it fits. Empty if it fits as it is, or
    if nothing known makes it fit."""

    claim: Claim | None = None
    problem: str | None = None
    """Why nothing can be said."""


class FitReport(Document):
    """Printed by ``bakeoff fit --json``."""

    study: str
    device: str
    limit_bytes: int | None
    limit_is: str
    """Where the limit comes from."""

    runs: tuple[FittedRun, ...]


class ScoredCase(Document):
    """A prediction beside what was measured."""

    case: str
    source: str
    """`trace` or `analytic`, and for a published figure `published: FILE`."""

    counter: Counter
    predicted_bytes: int
    measured_bytes: int
    relative_error: float
    """(predicted - measured) / measured."""


class SourceScore(Document):
    source: str
    num_cases: int
    median_error: float
    """Of the absolute relative errors."""

    worst_error: float
    share_under: float
    """Share of cases predicted below what was measured."""


class FitBench(Document):
    """Printed by ``bakeoff bench fit --json``."""

    bench: Literal["fit"] = "fit"
    cases: tuple[ScoredCase, ...]
    sources: tuple[SourceScore, ...]
    left_out: dict[str, int] = Field(default_factory=dict)
    """Rows of published tables that cannot be scored: why, and how many."""


class ProbedTry(Document):
    """Three real steps with so many rows a pass."""

    batch_size: int
    status: str
    needed_bytes: int | None
    """On a GPU the process's, on a CPU what the training added to the host."""

    fits: bool
    error: str | None = None


class Probed(Document):
    """Printed by ``bakeoff fit --probe --json``, one a training."""

    backend: str
    method: str
    limit_bytes: int
    largest_batch_size: int
    """0: not even one row a pass fits."""

    tries: tuple[ProbedTry, ...]
