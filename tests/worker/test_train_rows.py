"""Rows become tokens and labels."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.worker.failures import JobError
from bakeoff.worker.rows import IGNORED, Row, beginning_tokens, read_rows
from bakeoff.worker.tokenizing import tokenize


class LetterTokenizer:
    """One token a letter (its code point); puts token 1 before a text when ``adds_bos``."""

    bos_token_id = 1

    def __init__(self, *, adds_bos=False, eos_token_id=2):
        self.adds_bos = adds_bos
        self.eos_token_id = eos_token_id

    def __call__(self, text, add_special_tokens=True):
        if isinstance(text, list):
            return {"input_ids": [self(part, add_special_tokens)["input_ids"] for part in text]}
        start = [1] if self.adds_bos and add_special_tokens else []
        return {"input_ids": start + [ord(letter) for letter in text]}


def row(*segments):
    return {"id": "r", "segments": [{"text": text, "loss": loss} for text, loss in segments]}


def tokens_of(raw, tokenizer=None, *, max_length=100, overlong="drop", loss_on="response"):
    return tokenize(
        raw if isinstance(raw, list) else [raw],
        tokenizer or LetterTokenizer(),
        max_length=max_length,
        overlong=overlong,
        loss_on=loss_on,
    )


def test_only_learned_segments_and_the_end_token_have_labels():
    (made,) = tokens_of(row(("ab", False), ("c", True), ("d", False), ("e", True))).rows
    assert made.token_ids == [97, 98, 99, 100, 101, 2]
    assert made.labels == [IGNORED, IGNORED, 99, IGNORED, 101, 2]


def test_a_tokenizer_that_begins_texts_with_a_token_begins_rows_with_it():
    (made,) = tokens_of(row(("a", False), ("b", True)), LetterTokenizer(adds_bos=True)).rows
    assert made.token_ids == [1, 97, 98, 2]
    assert made.labels == [IGNORED, IGNORED, 98, 2]
    assert beginning_tokens(LetterTokenizer()) == []


def test_a_text_that_brings_the_beginning_token_itself_gets_no_second_one():
    (made,) = tokens_of(row(("\x01a", False), ("b", True)), LetterTokenizer(adds_bos=True)).rows
    assert made.token_ids == [1, 97, 98, 2]


def test_a_long_prompt_loses_its_beginning_and_never_its_answer():
    made = tokens_of(
        [
            row(("abcde", False), ("xy", True)),
            row(("ab", False), ("x", True)),
            row(("a", False), ("uvwxyz", True)),
        ],
        LetterTokenizer(adds_bos=True),
        max_length=6,
        overlong="truncate-prompt-left",
    )
    assert [kept.token_ids for kept in made.rows] == [
        [1, ord("d"), ord("e"), ord("x"), ord("y"), 2],
        [1, ord("a"), ord("b"), ord("x"), 2],
    ]
    assert made.rows[0].labels == [IGNORED] * 3 + [ord("x"), ord("y"), 2]
    assert (made.num_truncated, made.num_dropped) == (1, 1)


def test_of_several_turns_the_first_question_alone_is_cut():
    turns = row(("abc", False), ("x", True), ("d", False), ("y", True))
    (made,) = tokens_of(turns, max_length=5, overlong="truncate-prompt-left").rows
    assert made.token_ids == [ord("c"), ord("x"), ord("d"), ord("y"), 2]
    assert tokens_of([turns, turns], max_length=4, overlong="truncate-prompt-left").num_dropped == 2


def test_loss_on_all_learns_every_token_but_the_first_which_nothing_predicts():
    (made,) = tokens_of(row(("ab", False), ("c", True)), loss_on="all").rows
    assert made.labels == [97, 98, 99, 2]
    assert made.num_targets == 3


def test_rows_longer_than_allowed_are_dropped_and_counted():
    short, long = row(("a", False), ("b", True)), row(("a", False), ("bc", True))
    made = tokens_of([short, long, short], max_length=3)
    assert [len(kept.token_ids) for kept in made.rows] == [3, 3]
    assert (made.num_dropped, made.num_tokens, made.num_targets) == (1, 6, 4)


def test_an_overlong_row_is_named_with_its_length_when_the_recipe_says_error():
    with pytest.raises(JobError, match=r"Row `r` has 4 tokens, more than `train.max_length` \(3\)"):
        tokens_of(row(("a", False), ("bc", True)), max_length=3, overlong="error")


@pytest.mark.parametrize("segments", [[("a", False)], [("a", False), ("", True)]])
def test_a_row_with_nothing_to_learn_is_refused_by_name(segments):
    with pytest.raises(JobError, match="Row `r` has no token to learn"):
        tokens_of(row(*segments))


def test_a_tokenizer_without_an_end_token_is_refused():
    with pytest.raises(JobError, match="no end-of-sequence token"):
        tokens_of(row(("a", True)), LetterTokenizer(eos_token_id=None))


def test_a_missing_split_has_no_rows_and_a_file_keeps_its_line_separators(tmp_path):
    assert read_rows(tmp_path / "validation.jsonl") == []
    raw = row(("a\u2028b", True))
    (tmp_path / "train.jsonl").write_text(
        json.dumps(raw, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_rows(tmp_path / "train.jsonl") == [raw]


def test_bytes_of_a_row_tell_tokens_from_labels():
    assert Row("r", [1, 2], [IGNORED, 2]).to_bytes() != Row("r", [1, 2], [1, 2]).to_bytes()
    assert len(Row("r", [1, 2], [1, 2]).to_bytes()) == 32


SEGMENTS = st.lists(st.tuples(st.text("\x01ab", max_size=6), st.booleans()), min_size=1, max_size=4)


@given(
    many=st.lists(SEGMENTS, max_size=6),
    adds_bos=st.booleans(),
    max_length=st.integers(3, 12),
    overlong=st.sampled_from(["drop", "truncate-prompt-left"]),
)
def test_many_rows_at_once_are_the_rows_one_by_one(many, adds_bos, max_length, overlong):
    tokenizer = LetterTokenizer(adds_bos=adds_bos)
    expected = [one_row(segments, adds_bos, max_length, overlong) for segments in many]
    kept = [made for made in expected if made is not None]
    raws = [row(*segments) for segments in many]
    settings = {"max_length": max_length, "overlong": overlong}
    if any(sum(label != IGNORED for label in labels[1:]) < 2 for _, labels in kept):
        with pytest.raises(JobError, match="no token to learn"):
            tokens_of(raws, tokenizer, **settings)
        return
    made = tokens_of(raws, tokenizer, **settings)
    assert [(part.token_ids, part.labels) for part in made.rows] == kept
    assert made.num_dropped == len(many) - len(kept)


def one_row(segments, adds_bos, max_length, overlong):
    """The rules in the plainest words; None: left out."""
    start = [1] if adds_bos else []
    parts = [([ord(letter) for letter in text], is_learned) for text, is_learned in segments]
    first, is_learned = parts[0]
    if adds_bos and first[:1] == [1]:
        first = first[1:]
    excess = len(start) + len(first) + sum(len(ids) for ids, _ in parts[1:]) + 1 - max_length
    if excess > 0:
        if overlong == "drop" or is_learned or excess > len(first) - 1:
            return None
        first = first[excess:]
    token_ids, labels = [*start], [IGNORED] * len(start)
    for ids, learns in [(first, is_learned), *parts[1:]]:
        token_ids += ids
        labels += ids if learns else [IGNORED] * len(ids)
    return [*token_ids, 2], [*labels, 2]
