"""Matrix products of bf16 numbers on a processor that has no instructions for them.

Most laptops are such. PyTorch then multiplies with a loop that is nine times slower forwards
than its products in fp32 and more than that backwards (SmolLM2-135M on AVX2: 10 for 88 GFLOP/s a
core; a LoRA training 143 ms a token for 5.6). Both add up in fp32, and a product of two bf16
numbers is exact in fp32; so converting the factors and rounding the result once gives the same
numbers but for the order of the sum, in the time of fp32.
"""

import functools
import warnings
from typing import Any

import torch

_PIECE = 2**22
"""Numbers of a factor that are in fp32 at a time, where the other dimensions allow it: 16 MB. The
output layer of a large vocabulary would take more memory than the rest of a step."""


def processor_has_bf16() -> bool:
    """As PyTorch decides: through oneDNN, which needs AVX512 or the like."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose(computed_in: torch.dtype, device: torch.device) -> str:
    """Let this process multiply in the fastest way; what that is, for the record."""
    if computed_in is torch.float32:
        return "fp32"
    if device.type != "cpu" or processor_has_bf16():
        return "bf16"
    take_over()
    return "bf16 in fp32: this processor has no instructions for bf16"


@functools.cache
def take_over() -> torch.library.Library:
    """Replace the CPU's kernels for as long as what is returned lives."""
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*Overriding a previously registered kernel")
        for name, multiply in _MULTIPLY.items():
            kernel = torch.library.get_kernel(f"aten::{name}", "CPU")
            call = functools.partial(_call, kernel, multiply)
            library.impl(name, call, "CPU", with_keyset=True, allow_override=True)
    return library


def go_through_fp32(computed_in: torch.dtype) -> bool:
    return computed_in is torch.bfloat16 and take_over.cache_info().currsize > 0


def _call(kernel: Any, multiply: Any, keys: Any, *arguments: Any, **options: Any) -> Any:
    if arguments[0].dtype is not torch.bfloat16:
        return kernel.call_boxed(keys, *arguments, **options)
    return multiply(*arguments, **options)


def _mm(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor | None = None) -> torch.Tensor:
    return _write(a, b, _room(out, a, b), None)


def _addmm(
    onto: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    return _write(a, b, _room(out, a, b), onto if beta else None, beta=beta, alpha=alpha)


def _addmm_(
    onto: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float = 1, alpha: float = 1
) -> torch.Tensor:
    return _write(a, b, onto, onto if beta else None, beta=beta, alpha=alpha)


def _bmm(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor | None = None) -> torch.Tensor:
    return _room(out, a, b).copy_(torch.bmm(a.float(), b.float()))


def _baddbmm(
    onto: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    out: torch.Tensor | None = None,
    **how: float,
) -> torch.Tensor:
    return _room(out, a, b).copy_(torch.baddbmm(onto.float(), a.float(), b.float(), **how))


def _baddbmm_(onto: torch.Tensor, a: torch.Tensor, b: torch.Tensor, **how: float) -> torch.Tensor:
    return onto.copy_(torch.baddbmm(onto.float(), a.float(), b.float(), **how))


_MULTIPLY = {
    "mm": _mm,
    "mm.out": _mm,
    "addmm": _addmm,
    "addmm.out": _addmm,
    "addmm_": _addmm_,
    "bmm": _bmm,
    "bmm.out": _bmm,
    "baddbmm": _baddbmm,
    "baddbmm.out": _baddbmm,
    "baddbmm_": _baddbmm_,
}


def _room(out: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    shape = (*a.shape[:-1], b.shape[-1])
    return a.new_empty(shape) if out is None else out.resize_(shape)


def _write(
    a: torch.Tensor,
    b: torch.Tensor,
    out: torch.Tensor,
    onto: torch.Tensor | None,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> torch.Tensor:
    """Write `beta onto + alpha a b`, rounded once.

    The longest dimension is gone through in pieces: rows (N), columns (M), or what is summed over.

    Args:
        a: (N, K)
        b: (K, M)
        out: (N, M), where it is written to; may be ``onto``.
        onto: (N, M), or what stretches to it; None: zero.
        beta: of what is added.
        alpha: of the product.
    """
    (num_rows, depth), num_columns = a.shape, b.shape[1]
    _, middle, longest = sorted((num_rows, depth, num_columns))
    step = max(1, _PIECE // max(middle, 1))
    pieces = [slice(begin, begin + step) for begin in range(0, longest, step)]
    onto = None if onto is None else onto.expand(num_rows, num_columns)

    def finish(product: torch.Tensor, place: tuple[slice, ...]) -> None:
        if alpha != 1:
            product.mul_(alpha)
        if onto is not None:
            product.add_(onto[place], alpha=beta)
        out[place] = product

    if longest == num_rows:
        wide = b.float()
        for piece in pieces:
            finish(torch.mm(a[piece].float(), wide), (piece,))
    elif longest == num_columns:
        wide = a.float()
        for piece in pieces:
            finish(torch.mm(wide, b[:, piece].float()), (slice(None), piece))
    else:
        total = torch.zeros(num_rows, num_columns)
        for piece in pieces:
            total.addmm_(a[:, piece].float(), b[piece].float())
        finish(total, (slice(None),))
    return out
