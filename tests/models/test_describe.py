"""What `bakeoff model info` tells of a model, read from files alone."""

import json

import pytest

from bakeoff.base.errors import UserError
from bakeoff.models.describe import describe_model


def weights(tensors):
    """A safetensors file with tensors of these shapes, by name; `BF16`, all zero."""
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


EMBEDDING, LAYER = {"model.embed_tokens.weight": (100, 8)}, {"model.layers.0.w.weight": (8, 8)}
HEAD = {"lm_head.weight": (100, 8)}
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
CONFIG = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 100,
          "max_position_embeddings": 32768, "tie_word_embeddings": True,
          "eos_token_id": 1}  # fmt: skip
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {"a": 0}},
    "added_tokens": [{"id": 1, "content": "<|endoftext|>"}, {"id": 2, "content": "<|im_end|>"}],
}
SETTINGS = {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
GENERATION = {"eos_token_id": 1}


@pytest.fixture
def describe(write_model):
    def run(source="me/model", *, tensors=None, name="model", extra=None, **changed):
        parts = {"config": CONFIG, "tokenizer": TOKENIZER, "tokenizer_config": SETTINGS,
                 "generation_config": GENERATION}  # fmt: skip
        files = {
            f"{part}.json": json.dumps(value | changed.get(part, {})).encode()
            for part, value in parts.items()
            if changed.get(part, {}) is not None
        }
        stored = {"model.safetensors": weights(tensors or {**EMBEDDING, **LAYER})}
        return describe_model(
            write_model({**files, **stored, **(extra or {})}, name), source=source
        )

    return run


def test_parameters_are_counted_from_the_heads_of_the_weights(describe):
    assert describe().num_parameters == 100 * 8 + 8 * 8
    assert describe().dtypes == {"BF16": 864}


def test_a_shared_output_layer_counts_once_and_one_of_its_own_twice(describe):
    stored_twice = {**EMBEDDING, **LAYER, **HEAD}
    tied = describe(tensors=stored_twice)
    assert (tied.tied_embeddings, tied.num_parameters) == (True, 864)
    untied = describe(tensors=stored_twice, config={"tie_word_embeddings": False})
    assert (untied.tied_embeddings, untied.num_parameters) == (False, 864 + 800)


def test_parameters_are_added_over_the_parts_of_a_model(describe):
    parts = {
        "model-00001-of-00002.safetensors": weights(EMBEDDING),
        "model-00002-of-00002.safetensors": weights(LAYER),
    }
    assert describe(tensors={"norm": (8,)}, extra=parts).num_parameters == 864 + 8


def test_the_count_is_that_of_the_loaded_model(tiny_model):
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(tiny_model)
    info = describe_model(tiny_model, source="tiny")
    assert info.num_parameters == loaded.num_parameters()
    assert info.vocabulary_size == loaded.config.vocab_size


def test_quantised_weights_have_no_count(describe, write_model):
    packed = weights(LAYER).replace(b'"BF16"', b'"I32" ')
    assert describe(extra={"model.safetensors": packed}).num_parameters is None


def test_context_architecture_and_files(describe):
    info = describe()
    assert info.context_length == 32768
    assert (info.architecture, info.model_type) == ("Qwen2ForCausalLM", "qwen2")
    assert {file.name for file in info.files} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


KINDS = {
    "base": ("Qwen/Qwen2.5-1.5B", {}, "base"),
    # Qwen2.5's base models carry the chat template too.
    "base with template": ("Qwen/Qwen2.5-1.5B", {"chat_template": CHATML}, "probably base"),
    "by name only": ("me/x-Instruct", {}, "probably base"),
    "unnamed": ("./m", {"chat_template": CHATML, "eos_token": "<|im_end|>"}, "probably chat"),
    "chat": (
        "Qwen/Qwen2.5-1.5B-Instruct",
        {"chat_template": CHATML, "eos_token": "<|im_end|>"},
        "chat",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_base_or_chat_is_told_with_its_reasons(describe, case):
    source, settings, kind = KINDS[case]
    info = describe(source, tokenizer_config=settings)
    assert info.kind == kind
    assert len(info.kind_reasons) >= 2


TRAPS = {
    "pad is eos": (
        {"tokenizer_config": {"pad_token": "<|endoftext|>"}},
        "padding is the end-of-seq",
    ),
    "no pad": ({"tokenizer_config": {"pad_token": None}}, "there is no padding token"),
    "no eos": ({"tokenizer_config": {"eos_token": None}}, "no end-of-sequence token"),
    "eos differs": (
        {"tokenizer_config": {"eos_token": "<|im_end|>"}},
        "is `<|im_end|>` (2), config.json says `<|endoftext|>` (1)",
    ),
    "generation misses eos": (
        {"tokenizer_config": {"eos_token": "<|im_end|>"}},
        "stops at `<|endoftext|>` (1) and not at `<|im_end|>` (2)",
    ),
    "generation without eos": (
        {"generation_config": {"eos_token_id": None}},
        "answers may never end",
    ),
    "no generation settings": ({"generation_config": None}, "there is no generation_config.json"),
    "template ends otherwise": (
        {"tokenizer_config": {"chat_template": CHATML}},
        "turns do not end in `<|endoftext|>`",
    ),
    "more tokens than rows": ({"config": {"vocab_size": 2}}, "has 3 tokens, the embedding only 2"),
}


@pytest.mark.parametrize("case", TRAPS)
def test_each_trap_is_told(describe, case):
    changed, told = TRAPS[case]
    assert [trap for trap in describe(**changed).traps if told in trap]


def test_a_model_without_traps_has_none(describe):
    assert describe().traps == ()


def test_several_ends_of_generation_are_fine(describe):
    settings = {"eos_token": "<|im_end|>"}
    info = describe(
        tokenizer_config=settings,
        generation_config={"eos_token_id": [2, 1]},
        config={"eos_token_id": [1, 2]},
    )
    assert info.traps == ()
    assert info.generation_eos_token_ids == (2, 1)


TEMPLATES = {
    "own file": {"extra": {"chat_template.jinja": CHATML.encode()}},
    "own json": {"extra": {"chat_template.json": json.dumps({"chat_template": CHATML}).encode()}},
    "settings": {"tokenizer_config": {"chat_template": CHATML}},
    "several": {
        "tokenizer_config": {
            "chat_template": [
                {"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML},
            ]
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("where", TEMPLATES)
def test_the_template_is_found_wherever_it_is_kept(describe, where):
    assert describe(**TEMPLATES[where]).chat_template == CHATML


CARDS = {
    "named": (b"---\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
    "own": (b"---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
    "several": (b"---\r\nlicense:\r\n- mit\r\n- gpl-3.0\r\n---\r\n", "mit, gpl-3.0"),
    "none": (b"# A model\nlicense: no\n", None),
    "broken": (b"---\nlicense: [\n---\n", None),
}


@pytest.mark.parametrize("card", CARDS)
def test_the_licence_is_that_of_the_card(describe, card):
    text, licence = CARDS[card]
    assert describe(extra={"README.md": text}).licence == licence


def test_a_licence_file_names_it_where_the_card_does_not(describe):
    assert describe(extra={"LICENSE": b"\n  MIT License\n\n..."}).licence == "MIT License"


def test_a_pointer_in_place_of_weights_is_named(describe):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    with pytest.raises(UserError, match="is not a safetensors file") as raised:
        describe(extra={"model.safetensors": pointer})
    assert "Git LFS pointer" in raised.value.hint
