"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as Hugging Face's trainer sets it up."""

from collections.abc import Mapping

import torch

from bakeoff.worker.settings import TrainSettings


def build_optimizer(
    parameters: Mapping[str, torch.nn.Parameter],
    settings: TrainSettings,
    *,
    lora_plus_ratio: float | None = None,
) -> torch.optim.AdamW:
    """Weight decay on matrices and embeddings only: not on biases and the scales of norms.

    Args:
        parameters: by name.
        settings: of the training.
        lora_plus_ratio: how many times faster the matrices B of an adapter learn than A. As in the
            authors' code the vectors of an adapter (DoRA's magnitudes) learn as fast as B.
    """
    fast = [
        value
        for name, value in parameters.items()
        if lora_plus_ratio and (".lora_B." in name or value.dim() == 1)
    ]
    known = {id(value) for value in fast}
    others = [value for value in parameters.values() if id(value) not in known]
    groups = [*_groups(others, settings, 1.0), *_groups(fast, settings, lora_plus_ratio or 1.0)]
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def _groups(
    parameters: list[torch.nn.Parameter], settings: TrainSettings, rate_ratio: float
) -> list[dict[str, object]]:
    members = (
        ([parameter for parameter in parameters if parameter.dim() >= 2], settings.weight_decay),
        ([parameter for parameter in parameters if parameter.dim() < 2], 0.0),
    )
    return [
        {"params": some, "weight_decay": decay, "rate_ratio": rate_ratio}
        for some, decay in members
        if some
    ]


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
