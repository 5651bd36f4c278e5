"""The learning rate of each step, by the formulas of Hugging Face's trainer."""

import math


def count_warmup_steps(num_steps: int, warmup_ratio: float) -> int:
    return math.ceil(num_steps * warmup_ratio)


def rate_factor(step: int, *, scheduler: str, num_steps: int, num_warmup_steps: int) -> float:
    """Share of the peak learning rate at ``step``, counted from 0.

    The rate rises linearly from zero over the warm-up steps; then it falls as half a cosine or
    linearly, to reach zero one step after the last, or stays.
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    progress = (step - num_warmup_steps) / max(1, num_steps - num_warmup_steps)
    if scheduler == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - progress if scheduler == "linear" else 1.0
