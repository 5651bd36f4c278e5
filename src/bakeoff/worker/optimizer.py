"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as Hugging Face's trainer sets it up."""

from collections.abc import Iterable

import torch

from bakeoff.worker.settings import TrainSettings


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.AdamW:
    """Weight decay on matrices and embeddings only: not on biases and the scales of norms."""
    parameters = list(parameters)
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.dim() >= 2],
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.dim() < 2],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def clip_gradients(parameters: list[torch.nn.Parameter], max_norm: float) -> torch.Tensor:
    """Scale the gradients down to a global norm of ``max_norm`` (0: leave them).

    Returns:
        The norm before, a scalar tensor.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # On the CPU the comparison is free and saves a pass over all gradients; elsewhere it would
    # wait for the device.
    if max_norm > 0 and (norm.device.type != "cpu" or float(norm) > max_norm):
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
