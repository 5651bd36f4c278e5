"""Cross-entropy of a batch's label tokens."""

from typing import Any

import torch

from bakeoff.worker.batches import Batch
from bakeoff.worker.gradient_sums import sum_of

_CHUNK_ROWS = 256
"""Label tokens whose logits exist at the same time: bounds memory to so many vocabularies."""

_CACHED_ROWS = 16
"""Of these, so many at a time go through the softmax in fp32 on a CPU: they stay in its cache,
which makes it four times faster than all at once."""


def hidden_of_targets(decoder: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """What the output layer reads (N, width) for every label token."""
    hidden = decoder(
        input_ids=batch.token_ids,
        position_ids=batch.position_ids,
        attention_mask=batch.attention_mask,
        use_cache=False,
    ).last_hidden_state
    return hidden[batch.target_lines, batch.kept_columns[batch.target_places]]


def logits_of_targets(
    model: torch.nn.Module, batch: Batch, *, can_keep_logits: bool
) -> torch.Tensor:
    """Logits (N, vocabulary) of every label token, for models with an output of their own kind.

    Where the architecture can (``can_keep_logits``), the output layer, which with a large
    vocabulary costs as much as many layers, runs at the positions of label tokens only.
    """
    arguments: dict[str, Any] = {"use_cache": False}
    columns = batch.kept_columns[batch.target_places]
    if can_keep_logits:
        arguments["logits_to_keep"], columns = batch.kept_columns, batch.target_places
    logits = model(
        input_ids=batch.token_ids,
        position_ids=batch.position_ids,
        attention_mask=batch.attention_mask,
        **arguments,
    ).logits
    if batch.attention_mask is None and can_keep_logits:
        return logits[0]  # packed: each target has a kept column of its own, in this order
    return logits[batch.target_lines, columns]


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    divisor: int,
) -> torch.Tensor:
    """As :func:`divided_cross_entropy` of ``hidden @ weight.T + bias``, a chunk at a time.

    Neither the logits of all label tokens nor their gradients exist at any time (compare Wijmans et
    al. 2024, arXiv:2411.09009). The gradients of a trained ``weight`` add up over chunks in its own
    format, as they do over the passes of gradient accumulation; where they are added up in place
    (``gradient_sums``), the forward pass does it.

    Args:
        hidden: (N, width)
        weight: (vocabulary, width), in the format of ``hidden``.
        bias: (vocabulary,)
        targets: (N,)
        divisor: at least 1.
    """
    return _LinearCrossEntropy.apply(hidden, weight, bias, targets, divisor)


def divided_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, divisor: int
) -> torch.Tensor:
    """Sum over the tokens of -log softmax(logits)[target] / divisor, in fp32 inside.

    With the number of label tokens of a whole optimiser step as ``divisor``, the losses of its
    portions add up to the mean over the step, however the tokens are spread.

    Args:
        logits: (N, vocabulary)
        targets: (N,)
        divisor: at least 1.
    """
    return _DividedCrossEntropy.apply(logits, targets, divisor)


class _LinearCrossEntropy(torch.autograd.Function):
    """Makes all gradients in the forward pass; can be gone through backwards only once."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, *others: Any) -> torch.Tensor:
        weight, bias, targets, divisor = others
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        weight_sum = sum_of(weight) if wants_weight else None
        grad_weight = torch.empty_like(weight) if wants_weight and weight_sum is None else None
        grad_bias = torch.zeros_like(bias) if wants_bias else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        logits = hidden.new_empty(min(len(hidden), _CHUNK_ROWS), len(weight))
        for begin in range(0, len(hidden), _CHUNK_ROWS):
            chunk = slice(begin, begin + _CHUNK_ROWS)
            rows = hidden[chunk]
            some = torch.mm(rows, weight.T, out=logits[: len(rows)])
            if bias is not None:
                some += bias
            total += _loss_and_gradient(some, targets[chunk], divisor, out=some)
            if grad_hidden is not None:
                torch.mm(some, weight, out=grad_hidden[chunk])
            if weight_sum is not None:
                weight_sum.add_product(some.T, rows)
            elif grad_weight is not None:
                grad_weight.addmm_(some.T, rows, beta=float(begin > 0))
            if grad_bias is not None:
                grad_bias += some.sum(0)
        ctx.gradients = grad_hidden, grad_weight, grad_bias
        ctx.is_added = weight_sum is not None
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.is_added and not _is_one(gradients[0]):
            raise AssertionError("a gradient that is added up already cannot be multiplied")
        found = [g if g is None else _scaled(g, gradients[0]) for g in ctx.gradients]
        del ctx.gradients
        return *found, None, None


class _DividedCrossEntropy(torch.autograd.Function):
    """Makes the gradient (softmax - one-hot) while the logits are at hand, and keeps only that.

    PyTorch's own keeps an fp32 copy of all logits until the backward pass. Can be gone through
    backwards only once.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, divisor: int
    ) -> torch.Tensor:
        ctx.gradient = torch.empty_like(logits)
        return _loss_and_gradient(logits, targets, divisor, out=ctx.gradient)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        gradient = ctx.gradient
        del ctx.gradient
        return _scaled(gradient, gradients[0]), None, None


def _scaled(gradient: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """In place; mostly the factor is 1, which only a CPU can be asked without waiting for it."""
    is_one = factor.device.type == "cpu" and _is_one(factor)
    return gradient if is_one else gradient.mul_(factor)


def _is_one(factor: torch.Tensor) -> bool:
    """Where asking would wait for the device, it is taken to be."""
    return factor.device.type != "cpu" or float(factor) == 1.0


def _loss_and_gradient(
    logits: torch.Tensor, targets: torch.Tensor, divisor: int, *, out: torch.Tensor
) -> torch.Tensor:
    """The loss (,); its gradient by the logits goes to ``out``, which may be ``logits``."""
    at_a_time = _CACHED_ROWS if logits.device.type == "cpu" else _CHUNK_ROWS
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    buffer = torch.empty_like(logits[:at_a_time], dtype=torch.float32)
    for begin in range(0, len(targets), at_a_time):
        chunk = slice(begin, begin + at_a_time)
        chosen = targets[chunk, None]
        exponentials = buffer[: len(chosen)].copy_(logits[chunk])
        exponentials -= exponentials.amax(1, keepdim=True)
        total -= exponentials.gather(1, chosen).sum()
        sums = exponentials.exp_().sum(1, keepdim=True)
        total += sums.log().sum()
        softmax = exponentials.mul_(1 / (sums * divisor))
        softmax.scatter_add_(1, chosen, torch.full_like(sums, -1 / divisor))
        out[chunk] = softmax
    return total / divisor
