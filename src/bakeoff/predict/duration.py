"""How long a training takes, from its floating-point operations."""

from statistics import NormalDist

from bakeoff.predict.work import Work
from bakeoff.schema.prediction import Gpu

EFFICIENCY = 0.25
"""Share of a GPU's stated speed that fine-tuning in plain PyTorch reaches on rows of some hundred
tokens. Well-tuned pre-training on long rows reaches 0.4 to 0.6."""

STEP_BYTES = 24
"""That AdamW's step reads and writes a trained number of two bytes: weight, gradient, moments, and
the pass that clips."""


def forward_flops_per_token(work: Work) -> float:
    """Of one token: two operations a weight, and 4 x T x hidden a layer for causal attention.

    Half of that product is masked, so 2 x T x hidden is counted.
    """
    inside = work.shape.layers * sum(rows * columns for _, rows, columns in work.linear)
    return 2.0 * (inside + work.shape.vocabulary * work.shape.hidden) + _attention(work)


def flops_per_token(work: Work, *, recomputes: bool | None = None) -> float:
    """Forward and backward of one token.

    Two operations a weight forward, two for the gradient of the input and two for that of a trained
    weight (Kaplan et al. 2020, arXiv:2001.08361, section 2.1); attention adds 4 x T x hidden a
    layer and pass; recomputed activations one more forward. With LoRA the frozen weights need no
    gradient: 4 operations instead of 6.
    """
    again = work.checkpointing if recomputes is None else recomputes
    head = work.shape.vocabulary * work.shape.hidden
    passes = 2.0 + (1.0 if work.trains_all else 0.0)
    forward = forward_flops_per_token(work) - 2.0 * head
    return (
        forward * (passes + (1 if again else 0)) + 2.0 * head * passes + 6.0 * work.adapter_numbers
    )


def flops_per_second(work: Work, gpu: Gpu, efficiency: float) -> float:
    """That a GPU reaches with this training's number formats.

    Args:
        work: The training.
        gpu: Where.
        efficiency: Share of its stated speed in bf16.
    """
    speed = gpu.bf16_tflops * 1e12 * efficiency
    if work.compute_bytes == 4:
        speed /= 4  # fp32 (TF32 at best)
    if work.quantised_bits:
        speed *= 0.75  # the matrices are unpacked for every product
    return speed


def optimizer_seconds(work: Work, gpu: Gpu, num_steps: float = 1.0) -> float:
    """AdamW's steps over the trained weights that a device moves: they wait for memory."""
    each = 4 if work.shards.master_copy else work.weight_bytes
    moved = work.trained_numbers / work.shards.optimizer * STEP_BYTES * each / 2
    return num_steps * moved / (gpu.bandwidth_gb * 1e9)


def seconds_on(work: Work, gpu: Gpu, num_tokens: float, num_steps: float) -> float:
    """Forward, backward and the optimiser's steps.

    Args:
        work: The training.
        gpu: Where.
        num_tokens: Of all passes, padding included.
        num_steps: Of the optimiser.
    """
    computing = num_tokens * flops_per_token(work) / flops_per_second(work, gpu, EFFICIENCY)
    return computing + optimizer_seconds(work, gpu, num_steps)


def padded_mean(mean: float, long: float, rows: int) -> float:
    """Length of the longest of ``rows`` rows on average, to which the others are filled up.

    The lengths are taken as normal; expected largest of a sample by Blom (1958).

    Args:
        mean: Tokens of a row.
        long: Nine of ten rows are no longer.
        rows: In a pass.
    """
    normal = NormalDist()
    spread = (long - mean) / normal.inv_cdf(0.9)
    return mean + max(0.0, spread) * normal.inv_cdf((rows - 0.375) / (rows + 0.25))


def disk_bytes(work: Work, *, saves: bool) -> int:
    """The artefact, and two checkpoints with optimiser state while one replaces the other."""
    artefact = (
        work.adapter_numbers * work.adapter_bytes
        if work.rank
        else work.shape.parameters * work.weight_bytes
    )
    state = 2 * (work.adapter_moment_bytes + work.weight_moment_bytes)
    return round(artefact + (2 * (artefact + state) if saves else 0))


def _attention(work: Work) -> float:
    return 2.0 * work.shape.layers * work.tokens * work.shape.heads * work.shape.head_size
