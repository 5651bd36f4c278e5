"""A GGUF file becomes a checkpoint that trains: safetensors, configuration, tokenizer."""

import contextlib
import os
from pathlib import Path
from typing import Any

from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError
from bakeoff.worker.machine import packages, write_json_atomic


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"gguf", "output_dir", "dtype"}``.

    ``output_dir`` counts as complete only once ``result.json`` lies in the working directory.

    Raises:
        JobError: the file is not there.
    """
    import torch
    import transformers

    os.environ.setdefault("TQDM_DISABLE", "1")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    source = Path(job["gguf"])
    if not source.is_file():
        raise JobError(f"There is no GGUF file at {source}.")
    output_dir = Path(job["output_dir"])
    output_dir.mkdir(parents=True, exist_ok=True)

    with contextlib.closing(Events(Path("events.jsonl"))) as events:
        events.phase("load_model")
        tokenizer = _load_tokenizer(source, events)
        model = _load_model(source, getattr(torch, job["dtype"]))
        events.phase("save")
        tokenizer.save_pretrained(output_dir)
        model.save_pretrained(output_dir)
    write_json_atomic(Path("result.json"), {"packages": packages()})


def _load_model(source: Path, dtype: Any) -> Any:
    """The dense model in ``dtype``, with no trace of the quantisation in its configuration."""
    import transformers

    arguments: dict[str, Any] = {"gguf_file": source.name, "dtype": dtype}
    if hasattr(transformers, "GgufConfig"):  # elsewhere a GGUF file is always unpacked
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.parent, **arguments)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for attribute in ("hf_quantizer", "quantization_method"):
        if hasattr(model, attribute):
            delattr(model, attribute)
    model.is_quantized = False
    return model


def _load_tokenizer(source: Path, events: Events) -> Any:
    """The tokenizer that the file describes, with the word splitting that its name stands for."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    splitting = _read_splitting(source)
    if splitting == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = _smollm_splitting()
    elif splitting not in {None, "default", "gpt-2"}:
        events.warning(
            f"The GGUF file splits words the `{splitting}` way, which transformers does not read "
            "from such files: some texts may become other tokens than in the original model."
        )
    return tokenizer


def _read_splitting(source: Path) -> str | None:
    """The file's ``tokenizer.ggml.pre``: how text is cut into words before merging."""
    from gguf import GGUFReader

    field = GGUFReader(source).get_field("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def _smollm_splitting() -> Any:
    """Each digit alone, then GPT-2's words, as in the tokenizer.json of SmolLM2.

    transformers reads GPT-2's words alone, which cuts white space before a digit differently: a
    blank line before a number would become two tokens where the model knows one.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
