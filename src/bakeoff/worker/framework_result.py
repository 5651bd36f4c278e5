"""What a framework's training came to, read off its own objects, in the words of our result."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bakeoff.worker.failures import JobError
from bakeoff.worker.framework_job import FrameworkJob
from bakeoff.worker.framework_seen import Seen
from bakeoff.worker.model_flops import flops_of, num_token_pairs
from bakeoff.worker.optimizer import moments_dtype, optimizer_name
from bakeoff.worker.whole import dtype_of_most, num_values

if TYPE_CHECKING:
    from bakeoff.worker.framework import Prepared

_MODEL_FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
_OF_THE_MODEL = ("generation_config.json",)
"""Frameworks put their own choice there; what is evaluated must generate as the untouched model."""


@dataclass
class Facts:
    """Filled at the end of training, while model and optimiser are still there."""

    job: FrameworkJob
    prepared: "Prepared"
    seen: Seen
    effective: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    saved: Path = Path()
    """Where the framework leaves the model."""

    def collect(self, arguments: Any, model: Any, optimizer: Any) -> None:
        parameters = dict(model.named_parameters())
        trained = [parameter for parameter in parameters.values() if parameter.requires_grad]
        optimizer = _inner(optimizer)
        self.effective = {
            "method": self.job.method,
            **_arguments(arguments, self.prepared.sequence.num_steps),
            **_recipe_terms(self.job),
            **_adapter(model),
            "num_steps": self.prepared.sequence.num_steps,
            "rows_per_step": arguments.per_device_train_batch_size
            * arguments.gradient_accumulation_steps
            * arguments.world_size,
            "num_processes": arguments.world_size,
            "spread": self.job.spread.kind if self.job.spread is not None else "single",
            "optimizer": optimizer_name(optimizer),
            "weight_decay_on": "matrices and embeddings",
            "weight_dtype": dtype_of_most(
                [p for p in parameters.values() if not p.requires_grad] or trained
            ),
            "trained_dtype": dtype_of_most(trained),
            "master_dtype": _master_dtype(optimizer),
            "optimizer_dtype": moments_dtype(optimizer),
            "autocast": _autocast(arguments),
            "attention": str(model.config._attn_implementation),
            "gradient_checkpointing": bool(getattr(model, "is_gradient_checkpointing", False)),
            "eos_token_id": self.prepared.tokenizer.eos_token_id,
            "bos_token_id": self.prepared.tokenizer.bos_token_id,
            "pad_token_id": self.prepared.pad_token,
            "num_torch_threads": torch.get_num_threads(),
        }
        self.counts = {
            "num_total_parameters": sum(_size(p) for p in parameters.values()),
            "num_trained_parameters": sum(num_values(p) for p in trained),
            "num_token_pairs": num_token_pairs(self.prepared.train.rows),
            **flops_of(model),
        }

    def result(self) -> dict[str, Any]:
        """`bakeoff.schema.results.TrainResult` without artefact and environment.

        Raises:
            JobError: the framework never came to the end of a training.
        """
        if not self.counts:
            raise JobError(f"{self.job.framework} ended without training to the last step.")
        train = self.prepared.train
        return {
            "effective": self.effective,
            "num_examples": len(train.rows),
            "num_train_tokens": train.num_tokens,
            "num_label_tokens": train.num_targets,
            "num_truncated": 0,
            "num_dropped": train.num_dropped,
            "batch_digest": self.seen.digest() or self.prepared.sequence.digest(),
            **self.counts,
        }


def save_artefact(job: FrameworkJob, tokenizer: Any, saved: Path, artefact: Path) -> None:
    """Move the model out of the framework's folder; tokenizer and generation stay the model's own.

    Raises:
        JobError: the framework left no weights.
    """
    unfinished = artefact.with_name(f".{artefact.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    found = [path for pattern in _MODEL_FILES for path in saved.glob(pattern)]
    if not any(path.suffix == ".safetensors" for path in found):
        raise JobError(f"{job.framework} left no weights in {saved}.")
    for path in found:
        path.replace(unfinished / path.name)
    _name_base_model(unfinished / "adapter_config.json", job.model_dir)
    if (unfinished / "config.json").exists():
        for name in _OF_THE_MODEL:
            if (job.model_dir / name).exists():
                shutil.copyfile(job.model_dir / name, unfinished / name)
    tokenizer.save_pretrained(unfinished)
    shutil.rmtree(artefact, ignore_errors=True)
    unfinished.rename(artefact)


def _name_base_model(config: Path, model_dir: Path) -> None:
    """An adapter names the model it belongs to: the one in the recipe, not a folder of ours."""
    if config.exists():
        values = json.loads(config.read_text(encoding="utf-8"))
        values["base_model_name_or_path"] = str(model_dir)
        config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8", newline="\n")


def _arguments(arguments: Any, num_steps: int) -> dict[str, Any]:
    """As the trainer itself has them, after all defaulting."""
    return {
        "seed": arguments.seed,
        # With several processes accelerate numbers CPUs, too.
        "device": "cpu" if arguments.device.type == "cpu" else str(arguments.device),
        "learning_rate": arguments.learning_rate,
        "scheduler": str(
            getattr(arguments.lr_scheduler_type, "value", arguments.lr_scheduler_type)
        ),
        "num_warmup_steps": arguments.get_warmup_steps(num_steps),
        "batch_size": arguments.per_device_train_batch_size,
        "gradient_accumulation": arguments.gradient_accumulation_steps,
        "weight_decay": arguments.weight_decay,
        "adam_beta1": arguments.adam_beta1,
        "adam_beta2": arguments.adam_beta2,
        "adam_epsilon": arguments.adam_epsilon,
        "max_grad_norm": arguments.max_grad_norm,
    }


def _recipe_terms(job: FrameworkJob) -> dict[str, Any]:
    """What we did for the framework, or decided about it."""
    train = job.train
    return {
        "num_epochs": train.num_epochs,
        "max_length": train.max_length,
        "overlong": train.overlong,
        "loss_on": train.loss_on,
        "precision": train.precision,
        "validate_every": train.validate_every,
        "save_every": train.save_every,
        **({"freeze_trainable_layers": job.freeze.trainable_layers} if job.freeze else {}),
        **({"extra": job.extra} if job.extra else {}),
    }


def _adapter(model: Any) -> dict[str, Any]:
    config = getattr(model, "peft_config", {}).get("default")
    if config is None:
        return {}
    return {
        "lora_rank": config.r,
        "lora_alpha": float(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "lora_target_modules": sorted(config.target_modules)
        if not isinstance(config.target_modules, str)
        else config.target_modules,
        "lora_use_rslora": config.use_rslora,
        "lora_use_dora": config.use_dora,
        "lora_init": str(config.init_lora_weights),
    }


def _inner(optimizer: Any) -> Any:
    """Torch's own, which accelerate and DeepSpeed wrap."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def _master_dtype(optimizer: Any) -> str | None:
    """Of the weights that the optimiser moves: DeepSpeed's are copies in fp32."""
    moved = list(optimizer.state) or [p for g in optimizer.param_groups for p in g["params"]]
    return str(moved[0].dtype).removeprefix("torch.") if moved else None


def _autocast(arguments: Any) -> str | None:
    return "bfloat16" if arguments.bf16 else "float16" if arguments.fp16 else None


def _size(parameter: torch.nn.Parameter) -> int:
    """Number of values; two of them share a byte in 4 bits."""
    is_packed = type(parameter).__name__ == "Params4bit"
    return parameter.numel() * 2 if is_packed else num_values(parameter)
