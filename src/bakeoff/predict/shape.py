"""The shape of a decoder: from its ``config.json``, or from a table of well-known models."""

from collections.abc import Mapping
from typing import Any

from bakeoff.predict.experts import mixture
from bakeoff.predict.known_models import KNOWN
from bakeoff.schema.prediction import ModelShape

_FUSED = ("qwen", "chatglm", "gpt2", "gpt_neox", "falcon", "baichuan", "bloom", "phi3")
_PLAIN_MLP = ("gpt2", "gpt_neox", "bloom", "opt", "phi", "gptj", "gpt_bigcode", "starcoder2")
_LAYER_NORM = ("gpt2", "gpt_neox", "bloom", "opt", "phi", "gptj", "falcon", "starcoder2")
_WITH_BIAS = ("qwen", "qwen2", "gpt2", "gpt_neox", "bloom", "opt")


def shape_of_config(config: Mapping[str, Any], *, name: str) -> ModelShape | None:
    """Read a configuration of transformers; None if it is not that of a plain decoder."""
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, Mapping) else config
    hidden = _first(config, "hidden_size", "n_embd", "d_model")
    layers = _first(config, "num_hidden_layers", "n_layer", "num_layers")
    heads = _first(config, "num_attention_heads", "n_head")
    vocabulary = _first(config, "vocab_size", "padded_vocab_size")
    if not (hidden and layers and heads and vocabulary) or config.get("kv_lora_rank"):
        return None  # the latter: keys and values through a narrow place (DeepSeek-V2's MLA)
    kind = str(config.get("model_type", ""))
    key_heads = _first(config, "num_key_value_heads", "multi_query_group_num") or heads
    inner_size = _first(config, "intermediate_size", "ffn_hidden_size", "n_inner") or 4 * hidden
    if kind == "qwen":
        inner_size //= 2  # the first generation states both halves of its gate
    return make_shape(
        name=name,
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_heads=key_heads,
        head_size=_first(config, "head_dim", "kv_channels") or hidden // heads,
        **_feed_forward(config, hidden, inner_size),
        vocabulary=vocabulary,
        tied=bool(config.get("tie_word_embeddings", kind not in ("qwen", "chatglm"))),
        gated=kind not in _PLAIN_MLP,
        fused_attention_input=kind in _FUSED,
        attention_bias=bool(config.get("attention_bias", kind in _WITH_BIAS)),
        norm_in_fp32=kind not in _LAYER_NORM,
        bounded_logits=bool(config.get("final_logit_softcapping")),
        quantised_bits=_quantised_bits(config.get("quantization_config")),
    )


def _feed_forward(config: Mapping[str, Any], hidden: int, dense: int) -> dict[str, int]:
    """Its width, or its experts.

    Layers that have none among those that do (Qwen's `mlp_only_layers`) are taken for the others.
    """
    experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts")
    if not experts:
        return {"intermediate": dense}
    width = _first(config, "moe_intermediate_size") or dense
    return mixture(
        hidden=hidden,
        experts=experts,
        active=_first(config, "num_experts_per_tok", "experts_per_token", "moe_topk") or 1,
        width=width,
        shared=_first(config, "shared_expert_intermediate_size")
        or width * _first(config, "n_shared_experts", "num_shared_experts"),
    )


def known_shape(source: str) -> ModelShape | None:
    """The shape of a well-known model by its name, for an answer without its files."""
    plain = source.rpartition("/")[2].lower().replace("_", ".")
    for suffix in ("-instruct", "-chat", "-it", "-base", "-hf", "-sft", "-32k"):
        plain = plain.replace(suffix, "")
    row = KNOWN.get(plain)
    if row is None:
        return None
    options = dict(row.options)
    return make_shape(
        name=source,
        hidden=row.hidden,
        layers=row.layers,
        heads=row.heads,
        key_heads=row.key_heads,
        head_size=int(options.pop("head_size", row.hidden // row.heads)),
        vocabulary=row.vocabulary,
        tied=row.tied,
        **{"intermediate": row.intermediate, **options},
    )


def make_shape(**fields: Any) -> ModelShape:
    """Count the parameters and make the shape."""
    draft = ModelShape(**fields, parameters=0, largest_parameter=0)
    matrices = sum(rows * columns for _, rows, columns in linear_layers(draft))
    biases = 0
    if draft.attention_bias:
        biases = (draft.heads + 2 * draft.key_heads) * draft.head_size
    embedding = draft.vocabulary * draft.hidden
    total = (
        draft.layers * (matrices + biases + draft.idle + 2 * draft.hidden)
        + draft.hidden
        + embedding * (1 if draft.tied else 2)
    )
    return draft.model_copy(
        update={
            "parameters": total,
            "largest_parameter": max(
                embedding, draft.hidden * draft.intermediate, draft.largest_expert_tensor
            ),
        }
    )


def with_layers(shape: ModelShape, layers: int) -> ModelShape:
    """The same model with so many layers."""
    counted = {"parameters", "largest_parameter"}
    return make_shape(**{**shape.model_dump(exclude=counted), "layers": layers})


def linear_layers(shape: ModelShape) -> list[tuple[str, int, int]]:
    """The matrices of one layer: name, inputs, outputs; names are those of Llama.

    Of experts only those that a token goes through, side by side as one.
    """
    query, key = shape.heads * shape.head_size, shape.key_heads * shape.head_size
    attention = (
        [("qkv_proj", shape.hidden, query + 2 * key)]
        if shape.fused_attention_input
        else [
            ("q_proj", shape.hidden, query),
            ("k_proj", shape.hidden, key),
            ("v_proj", shape.hidden, key),
        ]
    )
    gate = [("gate_proj", shape.hidden, shape.intermediate)] if shape.gated else []
    return [
        *attention,
        ("o_proj", query, shape.hidden),
        *gate,
        ("up_proj", shape.hidden, shape.intermediate),
        ("down_proj", shape.intermediate, shape.hidden),
    ]


def _first(config: Mapping[str, Any], *names: str) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)


def _quantised_bits(settings: Any) -> int | None:
    if not isinstance(settings, Mapping):
        return None
    if settings.get("load_in_4bit") or settings.get("bits") == 4:
        return 4
    return 8 if settings.get("load_in_8bit") or settings.get("bits") == 8 else None
