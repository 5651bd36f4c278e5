"""How many questions fit at a time, before the first one is asked.

A bound from what the longest question needs, not a search: what still does not fit is found by the
first batch, which holds the longest questions, and is then halved.
"""

from typing import Any

import torch

MOST_ROWS = 64
"""More rows do not make a step faster, and the last ones of a batch wait longer."""

_SHARE_OF_FREE = 0.5
"""The rest is for activations and the allocator's own."""


def rows_that_fit(
    model: Any, *, num_tokens: int, num_rows: int, free_bytes: int, all_logits: bool = False
) -> int:
    """A power of two, at most as many as there are questions.

    Args:
        model: that is asked.
        num_tokens: of the longest question and its answer.
        num_rows: questions in all.
        free_bytes: of the device, or of the host.
        all_logits: whether logits are computed at every token, not at the last alone.
    """
    num_logits = num_tokens if all_logits else 1
    bytes_per_row = num_tokens * _bytes_per_token(model) + num_logits * _bytes_of_logits(model)
    fitting = int(_SHARE_OF_FREE * free_bytes / bytes_per_row)
    most = max(1, min(fitting, MOST_ROWS, num_rows))
    return 1 << (most.bit_length() - 1)


def _bytes_per_token(model: Any) -> int:
    """Keys and values of all layers, and the widest activations of one layer."""
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    kept = 2 * config.num_hidden_layers * heads * size
    intermediate = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return int((kept + 4 * config.hidden_size + 2 * intermediate) * model.dtype.itemsize)


def _bytes_of_logits(model: Any) -> int:
    """Of one place, in the model's format and in fp32."""
    return int(model.config.get_text_config().vocab_size * (model.dtype.itemsize + 8))


def free_bytes(device: torch.device) -> int:
    """Of the GPU, or of the host's memory that can be had without swapping."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
