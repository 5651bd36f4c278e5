"""What a trainer would do if nobody asked otherwise, in the recipe's words.

Read from the locked versions' own argument classes (LLaMA-Factory's `hparams`, ms-swift's
`SftArguments`); where a default is worked out from other settings there is none here. A slow test
holds the table to the installed frameworks.
"""

from collections.abc import Mapping
from typing import Any

from bakeoff.schema.recipe_train import FreezeSpec, LoraSpec, TrainSpec

_LLAMAFACTORY: Mapping[str, Any] = {
    "learning_rate": 5e-05,
    "scheduler": "linear",
    "num_epochs": 3.0,
    "batch_size": 8,
    "gradient_accumulation": 1,
    "max_length": 2048,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-08,
    "max_grad_norm": 1.0,
    "gradient_checkpointing": True,
    "seed": 42,
    "lora_rank": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.0,
    "lora_use_rslora": False,
    "lora_use_dora": False,
}
_SWIFT: Mapping[str, Any] = {
    "scheduler": "cosine",
    "warmup_ratio": 0.0,
    "num_epochs": 3.0,
    "batch_size": 1,
    "weight_decay": 0.1,
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "adam_epsilon": 1e-08,
    "max_grad_norm": 1.0,
    "gradient_checkpointing": True,
    "seed": 42,
    "lora_rank": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "lora_use_rslora": False,
    "lora_use_dora": False,
}


def _ours() -> Mapping[str, Any]:
    freeze = {f"freeze_{key}": value for key, value in FreezeSpec()}
    lora = {f"lora_{key}": value for key, value in LoraSpec().model_dump().items()}
    return {**TrainSpec().model_dump(), **lora, **freeze, "seed": 0}


def defaults_of(backend: str, method: str) -> Mapping[str, Any]:
    """By the dotted name that the record's effective settings have; unknown ones are left out."""
    if backend == "llamafactory":
        return _LLAMAFACTORY
    if backend == "swift":
        return {**_SWIFT, "learning_rate": 1e-5 if method == "full" else 1e-4}
    return _ours() if backend == "builtin" else {}
