"""Backend `swift`: ms-swift's supervised fine-tuning.

Keys and their meaning are those of ms-swift 4.6.0 (`swift/arguments`). Its template `dummy`, which
adds nothing but the tokenizer's own beginning- and end-of-sequence tokens, takes one question only;
the plug-in file written beside the configuration registers the same for any number.
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

TEMPLATE = "bakeoff_plain"
PLUGIN_FILE = "bakeoff_template.py"
PLUGIN = f'''"""A template that adds nothing but the tokenizer's own first and last token."""

from swift.template import TemplateMeta, register_template

register_template(
    TemplateMeta(
        "{TEMPLATE}",
        prefix=[],
        prompt=["{{{{QUERY}}}}"],
        chat_sep=[],
        suffix=[["eos_token_id"]],
        auto_add_bos=True,
    )
)
'''

_DTYPES = {"bf16": "bfloat16", "bf16-mixed": "float32", "fp32": "float32"}


def _sections(plan: TrainPlan, inputs: Inputs) -> dict[str, Section]:
    return {
        "Model": _model(plan, inputs),
        "Method": _method(plan),
        "Data": _data(plan),
        "Training": _training(plan),
        "Device and precision": _device(plan, inputs),
        "Several processes": _processes(plan, inputs),
        "Checkpoints and logs": _output(plan),
    }


class SwiftBackend(Framework):
    """Translates a training into `swift_sft.yaml` and a template plug-in."""

    requirements: ClassVar[tuple[str, ...]] = ("ms-swift>=4.6",)
    environment = "swift"
    name = "swift"
    title = "ms-swift"
    config_file = "swift_sft.yaml"
    command = "swift sft swift_sft.yaml"
    processes = "NNODES={nodes} NPROC_PER_NODE={devices}"
    where_the_model_is = (
        "The model is read from {model_dir}; on another machine change `model` in `swift_sft.yaml`."
    )

    recipe_keys: ClassVar[Mapping[str, str]] = {
        "model": "model.source",
        "tuner_type": "method",
        "train_type": "method",
        "quant_method": "method",
        "quant_bits": "method",
        "lora_rank": "lora.rank",
        "lora_alpha": "lora.alpha",
        "lora_dropout": "lora.dropout",
        "target_modules": "lora.target_modules",
        "use_rslora": "lora.use_rslora",
        "use_dora": "lora.use_dora",
        "lorap_lr_ratio": "lora.lora_plus_ratio",
        "init_weights": "lora.init",
        "freeze_parameters_ratio": "freeze.trainable_layers",
        "trainable_parameters": "freeze.trainable_layers",
        "trainable_parameters_regex": "freeze.trainable_layers",
        "max_length": "train.max_length",
        "loss_scale": "train.loss_on",
        "learning_rate": "train.learning_rate",
        "lr_scheduler_type": "train.scheduler",
        "warmup_steps": "train.warmup_ratio",
        "warmup_ratio": "train.warmup_ratio",
        "num_train_epochs": "train.num_epochs",
        "max_epochs": "train.num_epochs",
        "max_steps": "train.max_steps",
        "per_device_train_batch_size": "train.batch_size",
        "gradient_accumulation_steps": "train.gradient_accumulation",
        "weight_decay": "train.weight_decay",
        "adam_beta1": "train.adam_beta1",
        "adam_beta2": "train.adam_beta2",
        "adam_epsilon": "train.adam_epsilon",
        "max_grad_norm": "train.max_grad_norm",
        "torch_dtype": "train.precision",
        "bf16": "train.precision",
        "fp16": "train.precision",
        "gradient_checkpointing": "train.gradient_checkpointing",
        "deepspeed": "strategy",
        "fsdp": "strategy",
        "fsdp_config": "strategy",
        "save_steps": "train.save_every",
        "seed": "seed",
        "data_seed": "seed",
        "use_cpu": "device",
        "template": "prompt.text",
        "system": "prompt.text",
    }
    plumbing = frozenset(
        {
            "dataset", "val_dataset", "cached_dataset", "split_dataset_ratio", "streaming",
            "dataset_shuffle", "train_dataloader_shuffle", "load_from_cache_file", "lazy_tokenize",
            "columns", "external_plugins", "custom_register_path", "template_backend",
            "use_chat_template", "truncation_strategy", "task_type", "output_dir", "add_version",
            "resume_from_checkpoint", "resume_only_model", "adapters", "logging_steps",
            "logging_strategy", "save_strategy", "save_total_limit", "save_only_model",
            "disable_tqdm", "predict_with_generate", "eval_strategy",
        }
    )  # fmt: skip

    files: ClassVar[Mapping[PurePosixPath, str]] = {PurePosixPath(PLUGIN_FILE): PLUGIN}
    sections = staticmethod(_sections)


def _model(plan: TrainPlan, inputs: Inputs) -> Section:
    return {
        "model": str(inputs.model_dir),
        "check_model": False,
        "task_type": "causal_lm",
        "attn_impl": "sdpa",
        "use_liger_kernel": False,
        "use_logits_to_keep": False,
        "gradient_checkpointing": plan.train.recomputes_activations,
        "vit_gradient_checkpointing": plan.train.recomputes_activations,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
    }


def _method(plan: TrainPlan) -> Section:
    if plan.method == "full":
        return {"tuner_type": "full", "freeze_parameters_ratio": 0.0}
    if plan.method == "freeze":
        # Which layers are the last the worker adds as `trainable_parameters_regex`.
        return {"tuner_type": "full", "freeze_parameters_ratio": 1.0}
    adapter = _adapter(plan.lora if plan.lora is not None else LoraSpec())
    if plan.method == "qlora":
        adapter |= {
            "quant_method": "bnb",
            "quant_bits": 4,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": "bfloat16",
        }
    return {"tuner_type": "lora", "tuner_backend": "peft", **adapter}


def _adapter(lora: LoraSpec) -> dict[str, object]:
    targets = lora.target_modules
    return {
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "lora_bias": "none",
        "lora_dtype": "float32",
        "target_modules": [targets] if isinstance(targets, str) else list(targets),
        "use_rslora": lora.use_rslora,
        "use_dora": lora.use_dora,
        "lorap_lr_ratio": lora.lora_plus_ratio,
        "init_weights": "pissa" if lora.init == "pissa" else "true",
    }


def _data(plan: TrainPlan) -> Section:
    return {
        "dataset": [ROWS_FILE],
        "split_dataset_ratio": 0.0,
        "strict": True,
        "dataset_shuffle": False,
        "train_dataloader_shuffle": False,
        "load_from_cache_file": False,
        "lazy_tokenize": False,
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "dataloader_persistent_workers": False,
        "dataloader_drop_last": False,
        "external_plugins": [PLUGIN_FILE],
        "template": TEMPLATE,
        "template_backend": "swift",
        "use_chat_template": True,
        "add_non_thinking_prefix": False,
        "preserve_thinking": True,
        "max_length": plan.train.max_length,
        "truncation_strategy": "delete",
        "loss_scale": "all" if plan.train.loss_on == "all" else "default",
        "padding_side": "right",
        "padding_free": False,
        "packing": False,
        "group_by_length": False,
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
    return {
        "torch_dtype": _DTYPES[plan.train.precision],
        "bf16": plan.train.precision == "bf16-mixed"
        or (uses_deepspeed(inputs) and plan.train.precision == "bf16"),
        "fp16": False,
        "use_cpu": plan.device == "cpu",
        "torch_compile": False,
    }


def _processes(plan: TrainPlan, inputs: Inputs) -> Section:
    """As transformers has it, but for FSDP: all of it is one JSON text."""
    section = dict(distribution_section(plan, inputs))
    if "fsdp" in section:
        told = {key: section.pop(key) for key in ("fsdp", "fsdp_config")}
        section["fsdp"] = json.dumps(told)
    return section


def _output(plan: TrainPlan) -> Section:
    return {
        "output_dir": OUTPUT_DIR,
        "add_version": False,
        "create_checkpoint_symlink": False,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": ["none"],
        "eval_strategy": "no",
        "save_strategy": "steps" if saves(plan) else "no",
        "save_steps": plan.train.save_every if saves(plan) else None,
        "save_total_limit": 1,
        "save_only_model": False,
        "resume_only_model": False,
        "push_to_hub": False,
    }
