"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as Hugging Face's trainer sets it up."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from bakeoff.worker.settings import TrainSettings
from bakeoff.worker.whole import dtype_of_most


def build_optimizer(
    parameters: Mapping[str, torch.nn.Parameter],
    settings: TrainSettings,
    *,
    lora_plus_ratio: float | None = None,
    embeddings: Iterable[torch.nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Weight decay on matrices and embeddings only: not on biases and the scales of norms.

    Args:
        parameters: by name.
        settings: of the training.
        lora_plus_ratio: how many times faster the matrices B of an adapter learn than A. As in the
            authors' code the vectors of an adapter (DoRA's magnitudes) learn as fast as B.
        embeddings: of :func:`embeddings_of`.
    """
    fast = [
        value
        for name, value in parameters.items()
        if lora_plus_ratio and (".lora_B." in name or value.dim() == 1)
    ]
    known = {id(value) for value in fast}
    others = [value for value in parameters.values() if id(value) not in known]
    groups = [*_groups(others, settings, 1.0), *_groups(fast, settings, lora_plus_ratio or 1.0)]
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.adam_beta1, settings.adam_beta2),
        "eps": settings.adam_epsilon,
    }
    if settings.optimizer == "adamw-8bit":
        return _in_8_bits(groups, options, embeddings)
    return torch.optim.AdamW(groups, **options, fused=True)


def _in_8_bits(
    groups: list[dict[str, object]],
    options: dict[str, Any],
    embeddings: Iterable[torch.nn.Parameter],
) -> torch.optim.Optimizer:
    """As transformers' trainer makes it for `optim: adamw_8bit`."""
    import bitsandbytes

    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    manager.override_config(list(embeddings), "optim_bits", 32)
    manager.register_parameters(groups)
    return bitsandbytes.optim.AdamW(groups, **options, optim_bits=8)


def optimizer_name(optimizer: torch.optim.Optimizer) -> str:
    """For the record: whose it is, and which of its ways."""
    package = type(optimizer).__module__.partition(".")[0]
    fused = " (fused)" if optimizer.defaults.get("fused") else ""
    bits = getattr(getattr(optimizer, "args", None), "optim_bits", None)
    way = f" ({bits} bits)" if bits is not None else fused
    return f"{package}.optim.{type(optimizer).__name__}{way}"


def moments_dtype(optimizer: torch.optim.Optimizer) -> str | None:
    """The type of most of the numbers of the first moment; None before the first step."""
    moments = (state.get("exp_avg", state.get("state1")) for state in optimizer.state.values())
    return dtype_of_most(moment for moment in moments if moment is not None)


def embeddings_of(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Whose moments are kept in fp32 where others' are in 8 bits."""
    return [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]


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
