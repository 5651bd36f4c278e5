"""A first sign of life: a tiny model made on the spot, and a framework imported."""

import importlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.worker.machine import hardware, write_json_atomic

_NUM_TOKENS = 400
_END, _PAD = "<|end|>", "<|pad|>"


def main(job: Mapping[str, Any]) -> None:
    """Make the model, import what is named, and say how long that took and on which device."""
    make_tiny_model(Path(job["model_dir"]), job["texts"], head_size=job.get("head_size", 8))
    began = time.monotonic()
    for name in job["imports"]:
        importlib.import_module(name)
    seconds = time.monotonic() - began
    gpus = hardware()["gpus"]
    write_json_atomic(
        Path("result.json"), {"import_seconds": seconds, "device": gpus[0] if gpus else "cpu"}
    )


def make_tiny_model(folder: Path, texts: Iterable[str], *, head_size: int = 8) -> Path:
    """A two-layer Llama with random weights and a byte-level tokenizer, saved as any checkpoint.

    Args:
        folder: Where to.
        texts: What the tokenizer learns its merges from.
        head_size: Of an attention head; there are four.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_NUM_TOKENS,
        special_tokens=[_END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    special = {"eos_token": _END, "pad_token": _PAD}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=4 * head_size,
        intermediate_size=8 * head_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
