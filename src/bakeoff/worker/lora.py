"""A faster forward and backward pass for PEFT's LoRA layers; the layers themselves stay PEFT's.

PEFT keeps the adapter in fp32, converts the whole input of each layer to fp32, multiplies in fp32
and saves the converted input for the backward pass. Here the small matrices are converted to the
type of the activations instead, as autocast does, and only the input itself is kept. The adapter's
weights, gradients and optimiser state remain in fp32.
"""

from types import MethodType
from typing import Any

import torch
from torch.nn import functional

_ADAPTER = "default"


def speed_up(model: torch.nn.Module) -> tuple[int, int]:
    """Replace the forward of every plain LoRA layer.

    Returns:
        Number of layers replaced, and number of LoRA layers.
    """
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    plain = [layer for layer in layers if _is_plain(layer)]
    for layer in plain:
        layer.forward = MethodType(_forward, layer)
    return len(plain), len(layers)


def _is_plain(layer: Any) -> bool:
    """Whether the layer is x W^T + b + s (x A^T) B^T and nothing else (no dropout, no variant)."""
    from peft.tuners.lora import Linear

    return (
        type(layer) is Linear
        and type(layer.base_layer) is torch.nn.Linear
        and list(layer.lora_A) == [_ADAPTER]
        and isinstance(layer.lora_dropout[_ADAPTER], torch.nn.Identity)
        and not layer.lora_variant
        and layer.lora_A[_ADAPTER].bias is None
        and layer.lora_B[_ADAPTER].bias is None
    )


def _forward(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    base = self.base_layer
    return _LoraLinear.apply(
        x,
        base.weight,
        base.bias,
        self.lora_A[_ADAPTER].weight,
        self.lora_B[_ADAPTER].weight,
        self.scaling[_ADAPTER],
    )


class _LoraLinear(torch.autograd.Function):
    """x W^T + b + s (x A^T) B^T with frozen W and b (Hu et al. 2021, arXiv:2106.09685, eq. 3)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *parts: Any) -> torch.Tensor:
        weight, bias, adapter_a, adapter_b, scale = parts
        rows = x.reshape(-1, x.shape[-1])
        low_rank = rows @ adapter_a.to(x.dtype).T
        result = functional.linear(rows, weight, bias)
        result.addmm_(low_rank, adapter_b.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(x, weight, low_rank, adapter_a, adapter_b)
        ctx.scale = scale
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, low_rank, adapter_a, adapter_b = ctx.saved_tensors
        rows = x.reshape(-1, x.shape[-1])
        grad = gradients[0].reshape(-1, weight.shape[0])
        grad_low_rank = (grad @ adapter_b.to(grad.dtype)).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            grad_x.addmm_(grad_low_rank, adapter_a.to(grad.dtype))
            grad_x = grad_x.view(x.shape)
        grad_a = (grad_low_rank.T @ rows).to(adapter_a.dtype)
        grad_b = (grad.T @ low_rank).to(adapter_b.dtype).mul_(ctx.scale)
        return grad_x, None, None, grad_a, grad_b, None
