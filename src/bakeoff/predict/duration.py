"""How long a training takes, from its floating-point operations."""

from bakeoff.predict.work import Work
from bakeoff.schema.prediction import Gpu

_EFFICIENCY = 0.35
"""Share of a GPU's stated speed that fine-tuning in plain PyTorch reaches on rows of some hundred
tokens (MFU). Well-tuned pre-training on long rows reaches 0.4 to 0.6 (figures of llm-foundry)."""

_PEFT_LORA_FACTOR = 0.75
"""LoRA's small products in fp32 and casts keep the device from its full speed."""


def flops_per_token(work: Work, *, recomputes: bool | None = None) -> float:
    """Forward and backward of one token.

    Two operations a weight forward, two for the gradient of the input and two for that of a trained
    weight (Kaplan et al. 2020, arXiv:2001.08361, section 2.1); attention adds 4 x T x hidden a
    layer and pass; recomputed activations one more forward. With LoRA the frozen weights need no
    gradient: 4 operations instead of 6.
    """
    again = work.checkpointing if recomputes is None else recomputes
    inside = work.shape.layers * sum(rows * columns for _, rows, columns in work.linear)
    head = work.shape.vocabulary * work.shape.hidden
    passes = 2.0 + (1.0 if work.trains_all else 0.0)
    attention = 2.0 * work.shape.layers * work.tokens * work.shape.heads * work.shape.head_size
    forward = 2.0 * inside + attention
    return (
        forward * (passes + (1 if again else 0)) + 2.0 * head * passes + 6.0 * work.adapter_numbers
    )


def seconds_on(work: Work, gpu: Gpu, num_tokens: float) -> float:
    """Optimiser steps over ``num_tokens`` tokens, padding left out."""
    speed = gpu.bf16_tflops * 1e12 * _EFFICIENCY
    if work.compute_bytes == 4:
        speed /= 4  # fp32 (TF32 at best)
    if work.rank and work.adapter != "fast":
        speed *= _PEFT_LORA_FACTOR
    if work.quantised_bits:
        speed *= 0.75
    return num_tokens * flops_per_token(work) / speed


def disk_bytes(work: Work, *, saves: bool) -> int:
    """The artefact, and two checkpoints with optimiser state while one replaces the other."""
    artefact = (
        work.adapter_numbers * work.adapter_bytes
        if work.rank
        else work.shape.parameters * work.weight_bytes
    )
    state = 2 * (
        work.adapter_numbers * work.adapter_bytes + work.trained_numbers * work.state_bytes
    )
    return round(artefact + (2 * (artefact + state) if saves else 0))
