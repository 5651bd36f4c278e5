"""Parts of a layer as one autograd node each, which keep less and go over memory less often.

Whatever looks like such a part is tried on random numbers first and replaced only if it computes
just that; every other part stays as the architecture has it.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch.nn import functional

from bakeoff.worker import linear
from bakeoff.worker.gradient_sums import sum_of
from bakeoff.worker.linear import NUM_TENSORS, Layer
from bakeoff.worker.lora import read_layer

_TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
_NUM_TRIED = 4
_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def fuse(model: torch.nn.Module) -> dict[str, int]:
    """Replace what can be replaced; the number of modules by kind."""
    counts = {"norms": 0, "gated layers": 0}
    for module in model.modules():
        if _is_norm(module):
            counts["norms"] += _replace(module, _norm, module.weight.shape[-1])
        elif all(hasattr(module, name) for name in (*_PROJECTIONS, "act_fn")):
            layers = _projections(module)
            if len(layers) == len(_PROJECTIONS):
                num_inputs = layers[0][0].weight.shape[1]
                counts["gated layers"] += _replace(module, _gated, num_inputs)
    return counts


def _is_norm(module: Any) -> bool:
    return (
        type(module).__name__.endswith("RMSNorm")
        and [name for name, _ in module.named_parameters()] == ["weight"]
        and module.weight.dim() == 1
        and _epsilon(module) is not None
    )


def _epsilon(norm: Any) -> float | None:
    return getattr(norm, "variance_epsilon", getattr(norm, "eps", None))


def _projections(gated: Any) -> list[tuple[Layer, float]]:
    """Gate, up and down, each with the scale of its adapter; those that are plain layers."""
    found = (read_layer(getattr(gated, name)) for name in _PROJECTIONS)
    return [layer for layer in found if layer is not None]


@torch.no_grad()
def _replace(module: Any, new: Callable[..., torch.Tensor], num_inputs: int) -> bool:
    """Give the module a new forward pass if that computes the same."""
    weight = next(module.parameters())
    base = next((p for p in module.parameters() if p.dtype != torch.float32), weight)
    if base.dtype not in _TOLERANCES or weight.is_meta:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, _NUM_TRIED, num_inputs, generator=generator).to(base.device, base.dtype)
    expected = module(x)
    found = new(module, x)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    difference = (found - expected).float().norm() / expected.float().norm().clamp(min=1e-9)
    if not difference <= _TOLERANCES[base.dtype]:
        return False
    module.forward = MethodType(new, module)
    return True


def _norm(self: Any, x: torch.Tensor) -> torch.Tensor:
    return _RmsNorm.apply(x, self.weight, _epsilon(self))


def _gated(self: Any, x: torch.Tensor) -> torch.Tensor:
    layers = _projections(self)
    scales = tuple(scale for _, scale in layers)
    return _GatedLayer.apply(x, scales, *(tensor for layer, _ in layers for tensor in layer))


class _RmsNorm(torch.autograd.Function):
    """w x / sqrt(mean(x^2) + e) (Zhang and Sennrich 2019, arXiv:1910.07467), inside in fp32.

    Keeps x in its own format and one number a row.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        width = x.shape[-1]
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = norm.square_().div_(width).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return weight * (x.float() * inverse).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        (grad,) = gradients
        normal = x.float() * inverse
        grad_weight = None
        if ctx.needs_input_grad[1]:
            by_place = grad.float() * normal
            grad_weight = by_place.flatten(0, -2).sum(0).to(weight.dtype)
        if not ctx.needs_input_grad[0]:
            return None, grad_weight, None
        grad_normal = (grad * weight).float()
        along = (grad_normal * normal).mean(-1, keepdim=True)
        grad_x = grad_normal.sub_(normal.mul_(along)).mul_(inverse)
        return grad_x.to(x.dtype), grad_weight, None


class _GatedLayer(torch.autograd.Function):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202), each with its adapter.

    Keeps x and the outputs of gate and up; their product is made anew in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scales: Any, *tensors: Any) -> torch.Tensor:
        gate, up, down = _split(tensors)
        rows = x.reshape(-1, x.shape[-1])
        gated, low_gate = linear.forward(gate, scales[0], rows)
        upper, low_up = linear.forward(up, scales[1], rows)
        y, low_down = linear.forward(down, scales[2], functional.silu(gated).mul_(upper))
        ctx.save_for_backward(x, gated, upper, low_gate, low_up, low_down, *tensors)
        ctx.scales, ctx.sums = scales, [sum_of(layer.weight) for layer in (gate, up, down)]
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gated, upper, low_gate, low_up, low_down, *tensors = ctx.saved_tensors
        gate, up, down = _split(tensors)
        needed = ctx.needs_input_grad[2:]
        rows = x.reshape(-1, x.shape[-1])
        grad = gradients[0].reshape(-1, gradients[0].shape[-1])

        activated = functional.silu(gated)
        back = linear.Backward(down, ctx.scales[2], grad, low_down)
        of_gate, of_up, of_down = ctx.sums
        by_down = back.by_tensors(activated * upper, needed[2 * NUM_TENSORS :], of_down)
        grad_product = back.by_input()
        grad_upper = activated.mul_(grad_product)
        grad_gated = torch.ops.aten.silu_backward(grad_product.mul_(upper), gated)

        back_up = linear.Backward(up, ctx.scales[1], grad_upper, low_up)
        back_gate = linear.Backward(gate, ctx.scales[0], grad_gated, low_gate)
        by_up = back_up.by_tensors(rows, needed[NUM_TENSORS : 2 * NUM_TENSORS], of_up)
        by_gate = back_gate.by_tensors(rows, needed[:NUM_TENSORS], of_gate)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = back_gate.by_input(back_up.by_input()).view(x.shape)
        return grad_x, None, *by_gate, *by_up, *by_down


def _split(values: Any) -> list[Layer]:
    """Those of gate, up and down."""
    starts = range(0, 3 * NUM_TENSORS, NUM_TENSORS)
    return [Layer(*values[start : start + NUM_TENSORS]) for start in starts]
