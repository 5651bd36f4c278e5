"""The fast ways to tokens give the tokens of the tokenizer itself."""

import sys

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny import rows
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from bakeoff.worker import encoding
from bakeoff.worker.encoding import Encoder

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
SPECIAL = ["<unk>", "<|im_start|>", "<|im_end|>"]


def byte_level(digits):
    """As Qwen2 (one digit at a time) and Llama 3 (three) have it."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(f"{CONTRACTIONS}|{digits}|{REST}"), "isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
    return trained(made, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def metaspace():
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return trained(made)


def trained(tokenizer, **settings):
    texts = [text for row in rows(300) for text in row.values()] + ["中文问题", "naïve café's"]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=SPECIAL, show_progress=False, **settings
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def words():
    made = Tokenizer(models.WordLevel({"<unk>": 0, "tea": 1}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


TOKENIZERS = {
    kind: transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")
    for kind, made in {
        "one digit": byte_level("\\p{N}"),
        "three digits": byte_level("\\p{N}{1,3}"),
        "metaspace": metaspace(),
        "words": words(),
    }.items()
}
ENCODERS = {kind: Encoder(tokenizer) for kind, tokenizer in TOKENIZERS.items()}
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(["How", " many", "\u00a0", "12", "'LL", "e\u0301", *SPECIAL])).map(
            "".join
        ),
    ),
    min_size=1,
    max_size=30,
)


def lists_of(tokens):
    return [part.tolist() for part in np.split(tokens.ids, tokens.ends[:-1])]


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(texts=TEXTS)
@settings(deadline=None, max_examples=60)
def test_every_text_gets_the_tokens_of_the_tokenizer_itself(kind, texts):
    expected = TOKENIZERS[kind](texts, add_special_tokens=False)["input_ids"]
    assert lists_of(ENCODERS[kind](texts)) == expected


def way_of(tokenizer, texts):
    encode = Encoder(tokenizer)
    encode(texts)
    return encode.way


def test_the_fastest_way_that_knows_the_tokenizer_is_taken(monkeypatch):
    texts = ["How many?", " 12"]
    assert way_of(TOKENIZERS["one digit"], texts) == "fastokens"
    assert way_of(TOKENIZERS["words"], texts) == "tokenizers"
    monkeypatch.setitem(sys.modules, "fastokens", None)
    assert way_of(TOKENIZERS["one digit"], texts) == "tokenizers"


def test_a_way_that_gives_other_tokens_is_not_taken(monkeypatch):
    tokenizer = TOKENIZERS["one digit"]
    texts = ["How many?", "12"]
    expected = tokenizer(texts, add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(
        encoding, "_WAYS", {"wrong": lambda _: lambda _: encoding.Tokens(*np.ones((2, 2)))}
    )
    encode = Encoder(tokenizer)
    assert lists_of(encode(texts)) == expected
    assert encode.way == "itself"


def test_a_limit_of_length_that_a_tokenizer_brings_cuts_no_training_text():
    tokenizer = byte_level("\\p{N}")
    tokenizer.enable_truncation(max_length=3)
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    text = "How many apples are there in 12 boxes of 34?"
    (tokens,) = lists_of(Encoder(loaded)([text]))
    assert len(tokens) > 3
    assert tokens == loaded([text], add_special_tokens=False)["input_ids"][0]


def test_no_text_has_no_tokens():
    assert lists_of(Encoder(TOKENIZERS["one digit"])([""])) == [[]]
    assert len(Encoder(TOKENIZERS["one digit"])([]).ids) == 0
