"""Cross-entropy of a batch's label tokens."""

from typing import Any

import torch

from bakeoff.worker.batches import Batch

_CHUNK_ROWS = 256
"""Label tokens at a time: bounds the fp32 copies of the logits to this many vocabularies."""


def logits_of_targets(
    model: torch.nn.Module, batch: Batch, *, can_keep_logits: bool
) -> torch.Tensor:
    """Logits (N, vocabulary) of every label token.

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


class _DividedCrossEntropy(torch.autograd.Function):
    """Makes the gradient (softmax - one-hot) while the logits are at hand, and keeps only that.

    PyTorch's own keeps an fp32 copy of all logits until the backward pass. Can be gone through
    backwards only once.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, divisor: int
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=logits.device)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        for begin in range(0, len(targets), _CHUNK_ROWS):
            chunk = slice(begin, begin + _CHUNK_ROWS)
            chosen = targets[chunk, None]
            log_softmax = torch.log_softmax(logits[chunk], dim=-1, dtype=torch.float32)
            total -= log_softmax.gather(1, chosen).sum()
            if gradient is not None:
                softmax = log_softmax.exp_()
                softmax.scatter_add_(1, chosen, torch.full_like(softmax[:, :1], -1.0))
                gradient[chunk] = softmax.div_(divisor)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total / divisor

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(gradients[0]), None, None
