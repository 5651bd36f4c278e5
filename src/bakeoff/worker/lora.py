"""A faster forward and backward pass for PEFT's LoRA layers; the layers themselves stay PEFT's.

PEFT keeps the adapter in fp32, converts the whole input of each layer to fp32, multiplies in fp32
and saves the converted input for the backward pass. Here the small matrices are converted to the
type of the activations instead, and only the input itself is kept. The adapter's weights,
gradients and optimiser state remain in fp32.
"""

from types import MethodType
from typing import Any

import torch

from bakeoff.worker import linear
from bakeoff.worker.linear import Layer

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


def read_layer(module: Any) -> tuple[Layer, float] | None:
    """The tensors of a linear layer and its adapter's scale; None: it computes something else."""
    if type(module) is torch.nn.Linear:
        return Layer(module.weight, module.bias), 1.0
    if not hasattr(module, "lora_variant") or not _is_plain(module):
        return None
    base = module.base_layer
    small = module.lora_A[_ADAPTER].weight, module.lora_B[_ADAPTER].weight
    return Layer(base.weight, base.bias, *small), float(module.scaling[_ADAPTER])


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
    small = self.lora_A[_ADAPTER].weight, self.lora_B[_ADAPTER].weight
    return linear.apply(Layer(base.weight, base.bias, *small), self.scaling[_ADAPTER], x)
