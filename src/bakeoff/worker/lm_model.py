"""Brings a model and its tokenizer into memory for questions, as it was trained."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from bakeoff.worker import products
from bakeoff.worker.failures import JobError
from bakeoff.worker.machine import choose_device

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def load_model(
    model_dir: Path,
    artefact_dir: Path | None,
    *,
    precision: str,
    device: torch.device,
    trust_remote_code: bool,
) -> Any:
    """The untouched model, or what a training made of it, in evaluation mode on ``device``.

    Args:
        model_dir: the base model.
        artefact_dir: an adapter (it holds ``adapter_config.json``), a full model, or None.
        precision: ``bf16`` or ``fp32``, the number format of the weights.
        device: where it runs.
        trust_remote_code: whether Python files beside the weights may run.
    """
    products.choose(DTYPES[precision], device)
    adapter_dir, weights_dir = None, artefact_dir or model_dir
    if artefact_dir is not None and (artefact_dir / "adapter_config.json").is_file():
        adapter_dir, weights_dir = artefact_dir, model_dir
    model = AutoModelForCausalLM.from_pretrained(
        str(weights_dir),
        dtype=DTYPES[precision],
        local_files_only=True,
        trust_remote_code=trust_remote_code,
    )
    model.generation_config = decoding_of(
        model_dir, weights_dir, trust_remote_code=trust_remote_code
    )
    if adapter_dir is not None:
        model = _with_adapter(model, adapter_dir)
    return model.to(device).eval()


def load_model_of(job: dict[str, Any]) -> Any:
    """That which a job names, on its device."""
    artefact = job["artefact_dir"]
    return load_model(
        Path(job["model_dir"]),
        Path(artefact) if artefact else None,
        precision=job["precision"],
        device=choose_device(job["device"]),
        trust_remote_code=bool(job["trust_remote_code"]),
    )


def load_tokenizer(
    model_dir: Path, *, trust_remote_code: bool, chat: dict[str, Any] | None = None
) -> Any:
    """The base model's own tokenizer: trainers change special tokens and templates in theirs.

    The untouched and the trained model must read the same question as the same tokens.

    Args:
        model_dir: the base model.
        trust_remote_code: whether Python files beside the tokenizer may run.
        chat: of the job; its `template`, if there is one, goes before the tokenizer's own.

    Raises:
        JobError: a chat is asked for, but there is no template.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        str(model_dir), local_files_only=True, trust_remote_code=trust_remote_code
    )
    if chat is not None:
        tokenizer.chat_template = chat["template"] or tokenizer.chat_template
        if tokenizer.chat_template is None:
            raise JobError(
                "The model comes without a chat template. Name a chat model, write a template as "
                "`prompt.template`, or set `prompt.template: raw`."
            )
    return tokenizer


def _with_adapter(model: Any, artefact_dir: Path) -> Any:
    """The model under its adapter, unmerged and in the number format that the adapter has on disk.

    Merging would round base plus update to the base's format: another model than was trained. PEFT
    on its own would compute a bf16 adapter in fp32, at half the speed for the same values.
    """
    from peft import PeftModel

    return PeftModel.from_pretrained(
        model, str(artefact_dir), autocast_adapter_dtype=_saved_in_fp32(artefact_dir)
    )


def _saved_in_fp32(artefact_dir: Path) -> bool:
    from safetensors import safe_open

    weights = artefact_dir / "adapter_model.safetensors"
    if not weights.is_file():
        return True  # the older pickled form: fp32 holds every format without loss
    with safe_open(str(weights), framework="pt") as file:
        return any(file.get_slice(name).get_dtype() == "F32" for name in file.keys())  # noqa: SIM118


def decoding_of(model_dir: Path, weights_dir: Path, *, trust_remote_code: bool) -> Any:
    """The base model's decoding settings, without its own limit on the length.

    A full fine-tuning may save others than its base has; and `max_new_tokens` there (2048 for
    Qwen2.5) would go before the limit that the task sets.
    """
    if (model_dir / "generation_config.json").is_file():
        decoding = GenerationConfig.from_pretrained(str(model_dir), local_files_only=True)
    else:
        config = AutoConfig.from_pretrained(
            str(weights_dir), local_files_only=True, trust_remote_code=trust_remote_code
        )
        decoding = GenerationConfig.from_model_config(config)
    decoding.max_new_tokens = None
    return decoding


def penalty_of(model: Any) -> Any | None:
    """Of what was said before, on logits; the rest of the model's own sampling is left out."""
    from transformers import RepetitionPenaltyLogitsProcessor

    penalty = getattr(model.generation_config, "repetition_penalty", None) or 1.0
    return None if penalty == 1.0 else RepetitionPenaltyLogitsProcessor(float(penalty))
