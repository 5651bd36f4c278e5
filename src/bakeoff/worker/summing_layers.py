"""Plain linear layers and embeddings that add up their gradients in place."""

from types import MethodType
from typing import Any

import torch

from bakeoff.worker import linear
from bakeoff.worker.gradient_sums import sum_of
from bakeoff.worker.linear import Layer


def add_up_in_place(model: torch.nn.Module) -> tuple[dict[str, int], bool]:
    """Change all that are trained (see ``gradient_sums``).

    Gated layers add up by themselves (``fused``), and so does the output layer with the loss.

    Returns:
        How many of each kind, and whether no other matrix is trained (experts, layers of an
        architecture's own).
    """
    counts = {"linear layers": 0, "embeddings": 0}
    others = {id(p) for p in model.parameters() if p.requires_grad and p.dim() >= 2}
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.weight.requires_grad:
            module.forward = MethodType(_linear, module)
            counts["linear layers"] += 1
        elif type(module) is torch.nn.Embedding and _is_plain(module):
            module.forward = MethodType(_embed, module)
            counts["embeddings"] += 1
        else:
            continue
        others.discard(id(module.weight))
    return counts, not others


def _is_plain(embedding: torch.nn.Embedding) -> bool:
    """Whether every use of a token counts the same."""
    return (
        embedding.weight.requires_grad
        and embedding.max_norm is None
        and not embedding.scale_grad_by_freq
        and not embedding.sparse
    )


def _linear(self: Any, x: torch.Tensor) -> torch.Tensor:
    return linear.apply(Layer(self.weight, self.bias), 1.0, x)


def _embed(self: Any, token_ids: torch.Tensor) -> torch.Tensor:
    unlearned = -1 if self.padding_idx is None else self.padding_idx
    return _Embedding.apply(token_ids, self.weight, unlearned)


class _Embedding(torch.autograd.Function):
    """Rows of a matrix, of which the token ``unlearned`` has no gradient."""

    @staticmethod
    def forward(
        ctx: Any, token_ids: torch.Tensor, weight: torch.Tensor, unlearned: int
    ) -> torch.Tensor:
        ctx.save_for_backward(token_ids)
        ctx.weight, ctx.unlearned, ctx.sum = weight, unlearned, sum_of(weight)
        return torch.nn.functional.embedding(token_ids, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (token_ids,) = ctx.saved_tensors
        if ctx.sum is None:
            whole = torch.ops.aten.embedding_dense_backward(
                gradients[0], token_ids, len(ctx.weight), ctx.unlearned, scale_grad_by_freq=False
            )
            return None, whole, None
        is_learned = token_ids != ctx.unlearned
        rows = torch.where(is_learned[..., None], gradients[0], 0)
        ctx.sum.add_rows(ctx.weight, token_ids.flatten(), rows.flatten(0, -2))
        return None, None, None
