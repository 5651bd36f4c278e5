"""What makes a score mean something else is told."""

import json
import shutil

import pytest
from tests import tiny
from tests.evals.conftest import canonical

from bakeoff.schema.recipe_subject import PromptSpec

RAW, CHAT = PromptSpec(), PromptSpec.model_validate({"template": "chat"})


def _told(outcome, words):
    return [text for text in outcome.warnings if words in text]


@pytest.fixture
def chat_model(tiny_model, tmp_path):
    """The tiny model under the name of a chat model, with a template."""
    folder = shutil.copytree(tiny_model, tmp_path / "Tiny-Instruct")
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def test_a_chat_model_asked_in_plain_text_is_told_and_not_when_it_is_asked_in_a_chat(
    ask, chat_model, tiny_model
):
    assert _told(ask(model_dir=chat_model, limit=1), "looks like a chat model")
    assert not _told(ask(model_dir=tiny_model, limit=1), "looks like a chat model")


def test_another_form_than_in_training_is_told(ask, taught_model):
    outcome = ask(taught_model, trained_prompt=CHAT, limit=1)
    assert _told(outcome, "was trained on a chat and is asked in plain text")
    assert not _told(ask(taught_model, trained_prompt=RAW, limit=1), "was trained on")


def test_another_ending_of_the_prompt_than_in_training_is_told(ask, taught_model):
    other = PromptSpec(text="Q: {{prompt}}\nA:")
    assert _told(ask(taught_model, trained_prompt=other, limit=1), 'questions that end in "\\nA:"')


def test_test_questions_among_the_training_rows_are_counted(ask, taught_model, tmp_path):
    known = tmp_path / "train.jsonl"
    known.write_text(canonical(tiny.rows(3, start=102)), encoding="utf-8")
    outcome = ask(taught_model, trained_rows=known, limit=1)
    assert _told(outcome, "3 of 8 questions of `bakeoff_data` stand in the training rows")


def test_another_tokenizer_beside_the_adapter_is_told(ask, taught_model, tiny_model, tmp_path):
    folder = shutil.copytree(taught_model, tmp_path / "other")
    for path in tiny_model.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert not _told(ask(folder, limit=1), "tokenizer saved with")
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["eos_token"] = "<|pad|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert _told(ask(folder, limit=1), "differs from the base model's in its end-of-sequence token")


def test_a_trained_model_that_never_ends_by_itself_is_told(ask, taught_model):
    cut = ask(taught_model, max_new_tokens=3, limit=4)
    assert _told(cut, "100% of the answers of the trained model never ended by themselves")
    assert cut.result.effective["share_never_stopped"] == 1.0
    whole = ask(taught_model, limit=4, max_new_tokens=64)
    assert not _told(whole, "never ended")
    assert whole.result.effective["share_ended_by"]["end_token"] == 1.0
    assert {sample.stop_reason for sample in whole.samples} == {"end_token"}
