"""Floating-point operations that a training needs, whatever a trainer really does.

For each token a matrix of N weights takes 2N operations forward, 2N for the gradient of its input
and, if it is trained, 2N for its own gradient: the 6N of full fine-tuning (Chowdhery et al. 2022,
arXiv:2204.02311, appendix B) and 4N for the frozen matrices under an adapter. Matrices before the
first trained one need no gradient of their input. Attention takes 12 operations for each layer,
each unit of width and each pair of tokens of a row (4 forward, 8 backward), the causal half not
taken off, as there. The output layer counts at label tokens only: elsewhere nobody needs its
result, and of experts only those that a token goes through. What is computed again (gradient
checkpointing) is not counted, and element-wise work and the optimiser are left out. The embedding
is a look-up.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bakeoff.worker.rows import Row
from bakeoff.worker.whole import num_values

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "experts_per_token", "moe_topk")


def num_token_pairs(rows: Iterable[Row]) -> int:
    """Tokens of each row squared, added."""
    return sum(len(row.token_ids) ** 2 for row in rows)


def flops_of(model: Any) -> dict[str, float | None]:
    """``flops_per_token``, ``flops_per_label_token`` and ``flops_per_token_pair`` of a model.

    None where it is not known how many experts a token goes through, or the shape of the
    attention.
    """
    config = model.config.get_text_config()
    width, num_layers = _attention_width(config), getattr(config, "num_hidden_layers", None)
    share = _share_of_experts(config)
    if width is None or num_layers is None or share is None:
        return dict.fromkeys(("flops_per_token", "flops_per_label_token", "flops_per_token_pair"))
    head = model.get_output_embeddings()
    inner, outer = 0.0, 0.0
    has_gradient = any(p.requires_grad for p in model.get_input_embeddings().parameters())
    layers: set[str] = set()
    for name, module, size in _matrices(model, share):
        is_trained = any(p.requires_grad for p in module.parameters())
        operations = 2.0 * size * (1 + has_gradient + is_trained)
        has_gradient = has_gradient or is_trained
        if module is head or getattr(head, "base_layer", None) is module:
            outer += operations
        else:
            inner += operations
            if has_gradient:
                layers.add(_layer(name))
    num_trained_layers = min(len(layers - {""}), num_layers)
    pairs = width * (4.0 * num_layers + 8.0 * num_trained_layers)
    return {
        "flops_per_token": inner,
        "flops_per_label_token": outer,
        "flops_per_token_pair": pairs,
    }


def _matrices(model: Any, share: float) -> Iterator[tuple[str, torch.nn.Module, float]]:
    """Name, module and numbers that a token meets, in the order in which a decoder runs them.

    Experts are one tensor of three dimensions for all of them, or a module each.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D":
            yield name, module, _size(module) * (share if ".experts." in name else 1)
            continue
        stacked = [p for p in module.parameters(recurse=False) if p.dim() == 3]
        if stacked:
            yield name, module, sum(num_values(p) for p in stacked) * share


def _share_of_experts(config: Any) -> float | None:
    """That a token goes through; 1 for a model without experts, None if it is not known."""
    number = _first(config, _EXPERTS)
    active = _first(config, _ACTIVE)
    if not number:
        return 1
    return active / number if active else None


def _first(config: Any, names: tuple[str, ...]) -> int:
    return next((int(value) for name in names if (value := getattr(config, name, None))), 0)


def _size(module: Any) -> int:
    """From its shape: in 4 bits the weight's own size says something else."""
    if isinstance(module, torch.nn.Linear):
        return int(module.in_features * module.out_features)
    return int(module.weight.numel())


def _layer(name: str) -> str:
    """The number of the layer that a module lies in; empty outside of layers."""
    return next((part for part in name.split(".") if part.isdigit()), "")


def _attention_width(config: Any) -> int | None:
    """Heads times their width."""
    heads = getattr(config, "num_attention_heads", None)
    hidden = getattr(config, "hidden_size", None)
    if not heads or not hidden:
        return None
    return int(heads * (getattr(config, "head_dim", None) or hidden // heads))
