"""A file of rows becomes tokens on disk, once."""

import json
import sys

import pytest
import transformers
from tests.worker.training import write_data

from bakeoff.worker import preparation
from bakeoff.worker.failures import JobError
from bakeoff.worker.preparation import prepare_rows
from bakeoff.worker.rows import read_rows
from bakeoff.worker.tokenizing import tokenize

SETTINGS = {"max_length": 40, "overlong": "truncate-prompt-left", "loss_on": "response"}


@pytest.fixture
def tokenizer(tiny_model):
    return transformers.AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "_CHUNK_LINES", 5)
    return write_data(tmp_path / "data") / "train.jsonl"


def folders(path):
    return sorted((path.parent / "tokens").iterdir())


@pytest.mark.parametrize("max_length", [1024, 40, 25])
def test_rows_on_disk_are_those_in_memory(max_length, path, tokenizer):
    settings = {**SETTINGS, "max_length": max_length}
    expected = tokenize(read_rows(path), tokenizer, **settings)
    made = prepare_rows(path, tokenizer, **settings)
    assert list(made.rows) == list(expected.rows)
    assert made.rows[1:3] == expected.rows[1:3]
    for name in ("num_dropped", "num_truncated", "num_tokens", "num_targets", "examples"):
        assert getattr(made, name) == getattr(expected, name), name
    with pytest.raises(IndexError):
        made.rows[len(expected.rows)]


def test_an_environment_without_msgspec_makes_the_same_rows(path, tokenizer, monkeypatch):
    expected = tokenize(read_rows(path), tokenizer, **SETTINGS)
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert list(prepare_rows(path, tokenizer, **SETTINGS).rows) == list(expected.rows)


def test_the_second_time_the_rows_are_read_and_not_made(path, tokenizer, monkeypatch):
    first = prepare_rows(path, tokenizer, **SETTINGS)
    monkeypatch.setattr(preparation, "Encoder", lambda *_: pytest.fail("tokenised again"))
    assert list(prepare_rows(path, tokenizer, **SETTINGS).rows) == list(first.rows)


def test_other_settings_or_other_text_are_other_rows(path, tokenizer):
    prepare_rows(path, tokenizer, **SETTINGS)
    prepare_rows(path, tokenizer, **{**SETTINGS, "loss_on": "all"})
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:]), encoding="utf-8")
    assert len(prepare_rows(path, tokenizer, **SETTINGS).rows) == len(lines) - 1
    assert len(folders(path)) == 3


def test_a_mistake_in_a_row_leaves_nothing_behind(path, tokenizer):
    raw = {"id": "bad", "segments": [{"text": "a", "loss": False}]}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(raw) + "\n")
    with pytest.raises(JobError, match="Row `bad` has no token to learn"):
        prepare_rows(path, tokenizer, **SETTINGS)
    assert folders(path) == []


def test_data_that_cannot_be_written_to_is_prepared_elsewhere(path, tokenizer):
    (path.parent / "tokens").write_text("in the way")
    made = prepare_rows(path, tokenizer, **SETTINGS)
    assert len(made.rows) == len(read_rows(path))
    assert not [*path.parent.glob(".*"), *path.parent.glob("tokens/*")]


def test_no_rows_are_no_rows(tmp_path, tokenizer):
    assert prepare_rows(tmp_path / "none.jsonl", tokenizer, **SETTINGS).examples == []
    (tmp_path / "empty.jsonl").touch()
    made = prepare_rows(tmp_path / "empty.jsonl", tokenizer, **SETTINGS)
    assert (list(made.rows), made.examples, made.num_tokens) == ([], [], 0)
