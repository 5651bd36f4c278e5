"""Backend `llamafactory`: LLaMA-Factory's supervised fine-tuning.

Keys and their meaning are those of LLaMA-Factory 0.9.5 (`llamafactory/hparams`). Its template
`empty` adds nothing to a text, so the worker writes the beginning- and end-of-sequence tokens into
the rows themselves.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import ClassVar

from bakeoff.backends.frameworks.config_text import Section
from bakeoff.backends.frameworks.training import (
    OPTIMIZERS,
    OUTPUT_DIR,
    ROWS_FILE,
    SCHEDULERS,
    Framework,
    distribution_section,
    saves,
    uses_deepspeed,
)
from bakeoff.interfaces import Inputs
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.recipe_train import LoraSpec

MODEL_DIR = "model"
"""The model's files under a configuration that names the precision: LLaMA-Factory loads weights in
the type that `config.json` says and has no key for it. The worker makes this folder of links."""

_SPARE_TOKENS = 1
"""LLaMA-Factory shares `cutoff_len` out between prompt and answer by a rounded fraction, which can
cut the last token of a row that fits exactly."""

DATASET_INFO = {
    "train": {
        "file_name": ROWS_FILE,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    }
}


def _sections(plan: TrainPlan, inputs: Inputs) -> dict[str, Section]:
    return {
        "Model": _model(plan),
        "Method": _method(plan),
        "Data": _data(plan),
        "Training": _training(plan),
        "Device and precision": _device(plan, inputs),
        "Several processes": distribution_section(plan, inputs),
        "Checkpoints and logs": _output(plan),
    }


class LlamaFactoryBackend(Framework):
    """Translates a training into `llama_train.yaml` and `dataset_info.json`."""

    requirements: ClassVar[tuple[str, ...]] = ("llamafactory>=0.9.5",)
    environment = "llamafactory"
    name = "llamafactory"
    title = "LLaMA-Factory"
    config_file = "llama_train.yaml"
    command = "llamafactory-cli train llama_train.yaml"
    processes = "FORCE_TORCHRUN=1 NNODES={nodes} NPROC_PER_NODE={devices}"
    where_the_model_is = (
        "`model/` holds links to {model_dir} and a `config.json` that names the precision; on "
        "another machine put the model's other files there. LLaMA-Factory itself refuses "
        "`pure_bf16` without a GPU."
    )

    recipe_keys: ClassVar[Mapping[str, str]] = {
        "model_name_or_path": "model.source",
        "trust_remote_code": "model.trust_remote_code",
        "finetuning_type": "method",
        "quantization_bit": "method",
        "lora_rank": "lora.rank",
        "lora_alpha": "lora.alpha",
        "lora_dropout": "lora.dropout",
        "lora_target": "lora.target_modules",
        "use_rslora": "lora.use_rslora",
        "use_dora": "lora.use_dora",
        "loraplus_lr_ratio": "lora.lora_plus_ratio",
        "pissa_init": "lora.init",
        "pissa_convert": "lora.init",
        "freeze_trainable_layers": "freeze.trainable_layers",
        "cutoff_len": "train.max_length",
        "train_on_prompt": "train.loss_on",
        "learning_rate": "train.learning_rate",
        "lr_scheduler_type": "train.scheduler",
        "warmup_steps": "train.warmup_ratio",
        "warmup_ratio": "train.warmup_ratio",
        "num_train_epochs": "train.num_epochs",
        "max_steps": "train.max_steps",
        "per_device_train_batch_size": "train.batch_size",
        "gradient_accumulation_steps": "train.gradient_accumulation",
        "weight_decay": "train.weight_decay",
        "adam_beta1": "train.adam_beta1",
        "adam_beta2": "train.adam_beta2",
        "adam_epsilon": "train.adam_epsilon",
        "max_grad_norm": "train.max_grad_norm",
        "bf16": "train.precision",
        "fp16": "train.precision",
        "pure_bf16": "train.precision",
        "disable_gradient_checkpointing": "train.gradient_checkpointing",
        "gradient_checkpointing": "train.gradient_checkpointing",
        "deepspeed": "strategy",
        "fsdp": "strategy",
        "fsdp_config": "strategy",
        "save_steps": "train.save_every",
        "seed": "seed",
        "data_seed": "seed",
        "use_cpu": "device",
        "template": "prompt.text",
        "default_system": "prompt.text",
    }
    plumbing = frozenset(
        {
            "stage", "do_train", "dataset", "dataset_dir", "eval_dataset", "val_size",
            "max_samples", "streaming", "tokenized_path", "output_dir", "overwrite_output_dir",
            "resume_from_checkpoint", "adapter_name_or_path", "disable_shuffling", "logging_steps",
            "logging_strategy", "save_strategy", "save_total_limit", "save_only_model",
            "disable_tqdm", "predict_with_generate", "do_eval", "do_predict", "eval_strategy",
            "cache_dir",
        }
    )  # fmt: skip

    files: ClassVar[Mapping[PurePosixPath, str]] = {
        PurePosixPath("dataset_info.json"): json.dumps(DATASET_INFO, indent=2) + "\n"
    }
    sections = staticmethod(_sections)


def _model(plan: TrainPlan) -> Section:
    return {
        "model_name_or_path": MODEL_DIR,
        "trust_remote_code": plan.trust_remote_code,
        "flash_attn": "sdpa",
        "use_fast_tokenizer": True,
        "split_special_tokens": False,
        "resize_vocab": False,
        "enable_liger_kernel": False,
        "use_unsloth": False,
        "upcast_layernorm": False,
        "upcast_lmhead_output": False,
        "disable_gradient_checkpointing": not plan.train.recomputes_activations,
        "use_reentrant_gc": False,
    }


def _method(plan: TrainPlan) -> Section:
    method: dict[str, object] = {"stage": "sft", "do_train": True}
    if plan.method == "full":
        return {**method, "finetuning_type": "full"}
    if plan.method == "freeze":
        return {
            **method,
            "finetuning_type": "freeze",
            "freeze_trainable_layers": plan.freeze.trainable_layers if plan.freeze else None,
            "freeze_trainable_modules": "all",
        }
    adapter = _adapter(plan.lora if plan.lora is not None else LoraSpec())
    if plan.method == "qlora":
        adapter |= {
            "quantization_bit": 4,
            "quantization_method": "bnb",
            "quantization_type": "nf4",
            "double_quantization": True,
        }
    return {**method, "finetuning_type": "lora", **adapter}


def _adapter(lora: LoraSpec) -> dict[str, object]:
    targets = lora.target_modules
    pissa = lora.init == "pissa"
    return {
        "lora_rank": lora.rank,
        "lora_alpha": int(lora.alpha) if lora.alpha.is_integer() else lora.alpha,
        "lora_dropout": lora.dropout,
        "lora_target": "all" if isinstance(targets, str) else ",".join(targets),
        "use_rslora": lora.use_rslora,
        "use_dora": lora.use_dora,
        "loraplus_lr_ratio": lora.lora_plus_ratio,
        "pissa_init": pissa,
        "pissa_iter": -1 if pissa else None,
        "pissa_convert": True if pissa else None,
    }


def _data(plan: TrainPlan) -> Section:
    return {
        "dataset_dir": ".",
        "dataset": "train",
        "template": "empty",
        "cutoff_len": plan.train.max_length + _SPARE_TOKENS,
        "train_on_prompt": plan.train.loss_on == "all",
        "mask_history": False,
        "packing": False,
        "neat_packing": False,
        "disable_shuffling": True,
        "val_size": 0.0,
        "overwrite_cache": True,
        "dataloader_num_workers": 0,
        "dataloader_drop_last": False,
        "cache_dir": f"{OUTPUT_DIR}/cache",
    }


def _training(plan: TrainPlan) -> Section:
    train = plan.train
    return {
        "num_train_epochs": train.num_epochs,
        "max_steps": train.max_steps or -1,
        "per_device_train_batch_size": train.batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation,
        "average_tokens_across_devices": True,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": SCHEDULERS[train.scheduler],
        "warmup_steps": train.warmup_ratio,
        "optim": OPTIMIZERS[train.optimizer],
        "weight_decay": train.weight_decay,
        "adam_beta1": train.adam_beta1,
        "adam_beta2": train.adam_beta2,
        "adam_epsilon": train.adam_epsilon,
        "max_grad_norm": train.max_grad_norm,
        "label_smoothing_factor": 0.0,
        "seed": plan.seed,
        "data_seed": plan.seed,
    }


def _device(plan: TrainPlan, inputs: Inputs) -> Section:
    precision = plan.train.precision
    # DeepSpeed keeps bf16 weights and an fp32 copy itself, for either kind of bf16.
    by_deepspeed = uses_deepspeed(inputs) and precision != "fp32"
    return {
        "bf16": precision == "bf16-mixed" or by_deepspeed,
        "pure_bf16": precision == "bf16" and not by_deepspeed,
        "fp16": False,
        "use_cpu": plan.device == "cpu",
        "torch_compile": False,
    }


def _output(plan: TrainPlan) -> Section:
    return {
        "output_dir": OUTPUT_DIR,
        "overwrite_output_dir": False,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "plot_loss": False,
        "eval_strategy": "no",
        "save_strategy": "steps" if saves(plan) else "no",
        "save_steps": plan.train.save_every if saves(plan) else None,
        "save_total_limit": 1,
        "save_only_model": False,
        "push_to_hub": False,
    }
