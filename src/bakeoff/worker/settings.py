"""The job file of a training, as plain values: field by field what a recipe's `train:` holds."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """``bakeoff.schema.recipe.TrainSpec``, where each field is explained."""

    learning_rate: float
    scheduler: str
    warmup_ratio: float
    num_epochs: float
    max_steps: int | None
    batch_size: int
    gradient_accumulation: int
    max_length: int
    overlong: str
    loss_on: str
    precision: str
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    max_grad_norm: float
    gradient_checkpointing: bool
    memory: str
    validate_every: int
    save_every: int
    optimizer: str = "adamw"

    @property
    def is_lean(self) -> bool:
        return self.memory == "lean"

    @property
    def recomputes_activations(self) -> bool:
        return self.gradient_checkpointing or self.is_lean

    @property
    def rows_per_process(self) -> int:
        """Of an optimiser step."""
        return self.batch_size * self.gradient_accumulation


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """``bakeoff.schema.recipe.LoraSpec``."""

    rank: int
    alpha: float
    dropout: float
    target_modules: str | list[str]
    use_rslora: bool = False
    use_dora: bool = False
    lora_plus_ratio: float | None = None
    init: str = "default"


@dataclass(frozen=True, kw_only=True)
class FreezeSettings:
    """``bakeoff.schema.recipe.FreezeSpec``."""

    trainable_layers: int


@dataclass(frozen=True, kw_only=True)
class SpreadSettings:
    """How the training is spread over processes."""

    kind: str
    """`ddp`, `fsdp` or `deepspeed`."""

    num_processes: int
    settings: dict[str, Any]
    """Of that kind: DeepSpeed's own configuration, say."""


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """``bakeoff.schema.plan.Watch``."""

    every: int
    num_questions: int
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    model_dir: Path
    data_dir: Path
    method: str
    seed: int
    device: str
    trust_remote_code: bool
    train: TrainSettings
    lora: LoraSettings | None
    freeze: FreezeSettings | None
    watch: WatchSettings | None = None
    probe: bool = False
    """Whether to write down what the training really does (``bakeoff.worker.probe``)."""

    spread: SpreadSettings | None = None
    """None: one process."""

    @property
    def num_processes(self) -> int:
        return self.spread.num_processes if self.spread is not None else 1

    @property
    def rows_per_step(self) -> int:
        """Over all processes."""
        return self.train.rows_per_process * self.num_processes

    @property
    def digest(self) -> str:
        """Equal for jobs that must give equal results, wherever their files lie.

        How often checkpoints are written, and what is asked meanwhile, changes nothing in them, nor
        do the processes that share the rows of a step.
        """
        values = dataclasses.asdict(self)
        for name in ("model_dir", "data_dir", "spread", "watch"):
            del values[name]
        for name in ("save_every", "batch_size", "gradient_accumulation"):
            del values["train"][name]
        if self.train.optimizer == "adamw":  # as before there were others
            del values["train"]["optimizer"]
        values["rows_per_step"] = self.rows_per_step
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()


def read_job(raw: dict[str, Any]) -> TrainJob:
    """The typed job; a missing or unknown key is a TypeError that names it."""
    return TrainJob(
        **{
            **raw,
            "model_dir": Path(raw["model_dir"]),
            "data_dir": Path(raw["data_dir"]),
            "train": TrainSettings(**raw["train"]),
            "lora": LoraSettings(**raw["lora"]) if raw["lora"] is not None else None,
            "freeze": FreezeSettings(**raw["freeze"]) if raw.get("freeze") is not None else None,
            "spread": SpreadSettings(**raw["spread"]) if raw.get("spread") is not None else None,
            "watch": WatchSettings(**raw["watch"]) if raw.get("watch") is not None else None,
        }
    )
