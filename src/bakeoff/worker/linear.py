"""A linear layer, with or without a LoRA adapter, in the form that fused autograd nodes use.

y = x W^T + b + s (x A^T) B^T (Hu et al. 2021, arXiv:2106.09685, eq. 3). The small matrices are
kept in fp32 and converted to the type of the activations, as autocast does.
"""

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from bakeoff.worker.gradient_sums import GradientSum, sum_of


class Layer(NamedTuple):
    """The tensors of one layer; without an adapter A and B are None."""

    weight: torch.Tensor
    """(outputs, inputs)"""

    bias: torch.Tensor | None
    adapter_a: torch.Tensor | None = None
    """(rank, inputs)"""

    adapter_b: torch.Tensor | None = None
    """(outputs, rank)"""


NUM_TENSORS = len(Layer._fields)


def forward(layer: Layer, scale: float, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of rows ``x`` (N, inputs): the outputs (N, outputs), and x A^T (N, rank; 0 without one)."""
    y = functional.linear(x, layer.weight, layer.bias)
    if layer.adapter_a is None or layer.adapter_b is None:
        return y, x.new_empty(0)
    low_rank = x @ layer.adapter_a.to(x.dtype).T
    y.addmm_(low_rank, layer.adapter_b.to(x.dtype).T, alpha=scale)
    return y, low_rank


class Backward:
    """The backward pass of one layer."""

    def __init__(
        self, layer: Layer, scale: float, grad: torch.Tensor, low_rank: torch.Tensor
    ) -> None:
        """Prepare.

        Args:
            layer: as it was in the forward pass.
            scale: s.
            grad: by the outputs, (N, outputs).
            low_rank: from the forward pass.
        """
        self._layer, self._scale, self._grad, self._low_rank = layer, scale, grad, low_rank
        self._grad_low_rank: torch.Tensor | None = None
        if layer.adapter_b is not None:
            self._grad_low_rank = (grad @ layer.adapter_b.to(grad.dtype)).mul_(scale)

    def by_input(self, onto: torch.Tensor | None = None) -> torch.Tensor:
        """The gradient by the inputs (N, inputs), added to ``onto`` in place if that is given."""
        weight, adapter_a = self._layer.weight, self._layer.adapter_a
        total = self._grad @ weight if onto is None else onto.addmm_(self._grad, weight)
        if self._grad_low_rank is not None and adapter_a is not None:
            total.addmm_(self._grad_low_rank, adapter_a.to(total.dtype))
        return total

    def by_tensors(
        self, x: torch.Tensor, needed: tuple[bool, ...], weight_sum: GradientSum | None
    ) -> tuple[torch.Tensor | None, ...]:
        """The gradients by weight, bias, A and B where ``needed``.

        Args:
            x: the inputs.
            needed: four, in the order of the tensors.
            weight_sum: where that of the weight is added; None: it is returned.
        """
        weight, bias, adapter_a, adapter_b = needed
        small = self._grad_low_rank
        grads: list[torch.Tensor | None] = [None, self._grad.sum(0) if bias else None, None, None]
        if weight and weight_sum is not None:
            weight_sum.add_product(self._grad.T, x)
        elif weight:
            grads[0] = self._grad.T @ x
        if small is not None and adapter_a and self._layer.adapter_a is not None:
            grads[2] = (small.T @ x).to(self._layer.adapter_a.dtype)
        if adapter_b and self._layer.adapter_b is not None:
            # The smaller matrix is transposed: the wide one is read along its rows.
            by_b = (self._low_rank.T @ self._grad).to(self._layer.adapter_b.dtype)
            grads[3] = by_b.T.contiguous().mul_(self._scale)
        return tuple(grads)


def apply(layer: Layer, scale: float, x: torch.Tensor) -> torch.Tensor:
    """Of inputs ``x`` (..., inputs) the outputs (..., outputs), as one node."""
    return _LinearNode.apply(x, scale, *layer)


class _LinearNode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: float, *tensors: Any) -> torch.Tensor:
        layer = Layer(*tensors)
        y, low_rank = forward(layer, scale, x.reshape(-1, x.shape[-1]))
        ctx.save_for_backward(x, low_rank, *tensors)
        ctx.scale, ctx.weight_sum = scale, sum_of(layer.weight)
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, low_rank, *tensors = ctx.saved_tensors
        layer = Layer(*tensors)
        grad = gradients[0].reshape(-1, layer.weight.shape[0])
        back = Backward(layer, ctx.scale, grad, low_rank)
        grad_x = back.by_input().view(x.shape) if ctx.needs_input_grad[0] else None
        rows, needed = x.reshape(-1, x.shape[-1]), ctx.needs_input_grad[2:]
        return grad_x, None, *back.by_tensors(rows, needed, ctx.weight_sum)
