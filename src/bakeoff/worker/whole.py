"""Tensors of which every process holds a part, put together again."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch


def whole_tensors(tensors: Mapping[str, torch.Tensor], *, keep: bool) -> dict[str, torch.Tensor]:
    """Each tensor whole and on the host, one after the other; all processes must call it.

    Args:
        tensors: parameters or buffers: parted by ``fully_shard``, by DeepSpeed's stage 3, or whole.
        keep: whether this process needs them; otherwise it gets empty ones.
    """
    found = {}
    for name, tensor in tensors.items():
        with _gathered(tensor):
            whole: Any = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
            found[name] = whole.detach().cpu().clone() if keep else torch.empty(0)
    return found


def num_values(parameter: Any) -> int:
    """Of a whole parameter, of which stage 3 may leave nothing here."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def dtype_of_most(tensors: Iterable[torch.Tensor]) -> str | None:
    """The type of most of the values; None of no tensors."""
    counted: Counter[str] = Counter()
    for tensor in tensors:
        counted[str(tensor.dtype).removeprefix("torch.")] += num_values(tensor)
    return counted.most_common(1)[0][0] if counted else None


def names_to_save(saved: Any, *, is_adapter: bool) -> dict[str, torch.Tensor]:
    """Tensors of an artefact, as the saved model calls them; tied ones once."""
    if is_adapter:
        return {name: value for name, value in saved.named_parameters() if value.requires_grad}
    every_name = dict(saved.named_parameters(remove_duplicate=False))
    buffers = {name: value for name, value in saved.state_dict().items() if name not in every_name}
    return {**dict(saved.named_parameters()), **buffers}


def _gathered(tensor: torch.Tensor) -> contextlib.AbstractContextManager[Any]:
    if not hasattr(tensor, "ds_id"):
        return contextlib.nullcontext()
    from deepspeed.runtime.zero import GatheredParameters

    return GatheredParameters([tensor])
