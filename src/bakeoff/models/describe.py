"""What a model on disk is, read from its small files and the heads of its weights; nothing loaded.

The traps are those that spoil a training silently: a padding token that is the end-of-sequence
token hides it from the loss where padding is masked by its id, and a model whose generation
settings do not know the end of its own template's turns never stops.
"""

import math
from pathlib import Path
from typing import Any

from bakeoff.base.files import read_json
from bakeoff.models.card import licence_of
from bakeoff.models.files import CARDS, MANIFEST, check_names, model_files
from bakeoff.models.tensors import Tensor, read_tensors
from bakeoff.models.tokens import TokenFacts, read_tokens
from bakeoff.schema.model_info import ModelFile, ModelInfo, ModelKind

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
_CHAT_WORDS = ("instruct", "chat", "-it", "-sft", "-dpo", "assistant")
_QUANTISED_DTYPES = frozenset({"I8", "U8", "I32", "I4", "U4", "F4"})


def describe_model(folder: Path, *, source: str) -> ModelInfo:
    """Everything that can be told without loading the model.

    Args:
        folder: With config.json, the tokenizer and weights.
        source: What the person calls it; its name is one of the signs of a chat model.

    Raises:
        UserError: The folder holds no model.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    check_names(names, where=str(folder), trust_remote_code=True)
    config = _text_config(_read(folder / "config.json"))
    tensors = read_tensors(folder, names)
    tokens = read_tokens(folder, config)
    kind, reasons = _kind(source, config, tokens)
    tied, num_parameters = _count(config, tensors)
    return ModelInfo(
        source=source,
        folder=str(folder),
        revision=_read(folder / MANIFEST).get("revision"),
        fetched_from=_read(folder / MANIFEST).get("fetched_from"),
        architecture=(config.get("architectures") or [None])[0],
        model_type=config.get("model_type"),
        num_parameters=num_parameters,
        tied_embeddings=tied,
        dtypes=_dtypes(tensors),
        context_length=next((config[k] for k in _CONTEXT_KEYS if config.get(k)), None),
        vocabulary_size=config.get("vocab_size"),
        num_layers=config.get("num_hidden_layers"),
        hidden_size=config.get("hidden_size"),
        kind=kind,
        kind_reasons=tuple(reasons),
        chat_template=tokens.template,
        eos_token=tokens.eos_token,
        eos_token_id=tokens.eos_token_id,
        generation_eos_token_ids=tokens.generation_eos_ids,
        pad_token=tokens.pad_token,
        pad_token_id=tokens.pad_token_id,
        traps=tuple(tokens.traps()),
        licence=licence_of(folder),
        files=_files(folder, names),
    )


def _read(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """A model of text and images keeps what is said of its language model one level below."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _files(folder: Path, names: list[str]) -> tuple[ModelFile, ...]:
    kept = {*model_files(names, trust_remote_code=True), *(name for name in CARDS if name in names)}
    return tuple(
        ModelFile(name=name, num_bytes=(folder / name).stat().st_size) for name in sorted(kept)
    )


def _count(config: dict[str, Any], tensors: list[Tensor]) -> tuple[bool | None, int | None]:
    """Whether the output layer is the embedding, and the parameters with it counted once.

    Quantised weights are packed: their shapes do not tell how many there are.
    """
    if not tensors or any(tensor.dtype in _QUANTISED_DTYPES for tensor in tensors):
        return config.get("tie_word_embeddings"), None
    total = sum(math.prod(tensor.shape) for tensor in tensors)
    head = next((t for t in tensors if t.name.endswith("lm_head.weight")), None)
    stated = config.get("tie_word_embeddings")
    tied = bool(stated) if stated is not None else head is None
    if tied and head is not None:
        total -= math.prod(head.shape)
    return tied, total


def _dtypes(tensors: list[Tensor]) -> dict[str, int]:
    """Numbers stored in each format, most first."""
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + math.prod(tensor.shape)
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _kind(source: str, config: dict[str, Any], tokens: TokenFacts) -> tuple[ModelKind, list[str]]:
    """Base or chat, with the signs; a base model may carry a template too (Qwen2.5 does)."""
    names = f"{source} {config.get('_name_or_path', '')} {config.get('_model_name_or_path', '')}"
    by_name = next((word for word in _CHAT_WORDS if word in names.lower()), None)
    ends_turn = tokens.eos_ends_the_template()
    reasons = [
        f"its name holds `{by_name}`" if by_name else "its name does not tell of chat",
        "it has a chat template" if tokens.template else "it has no chat template",
    ]
    if tokens.template and tokens.eos_token:
        reasons.append(
            f"its end-of-sequence token `{tokens.eos_token}` "
            f"{'ends' if ends_turn else 'does not end'} the template's turns"
        )
    signs = [by_name is not None, tokens.template is not None, ends_turn]
    if all(signs):
        return "chat", reasons
    if not any(signs):
        return "base", reasons
    return ("probably chat" if sum(signs) == 2 else "probably base"), reasons
