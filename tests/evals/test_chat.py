"""A chat model is asked in its chat template: in the very text that was trained on."""

import shutil

import pytest
from tests import tiny
from tests.data.test_chat_template import CHATML, INST

from bakeoff import data
from bakeoff.base.files import iter_jsonl, write_jsonl
from bakeoff.data.chat_template import ChatRenderer
from bakeoff.models import read_chat_template
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec
from bakeoff.worker.failures import JobError

CHAT = PromptSpec(template="chat", text="Q: {{prompt}}")


@pytest.fixture(scope="module")
def chat_model(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat") / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    return folder


@pytest.fixture
def prepared(chat_model, tmp_path):
    """Rows as a study prepares them for ``prompt``."""

    def run(prompt=CHAT, test=None):
        (tmp_path / "rows").mkdir()
        write_jsonl(tmp_path / "rows" / "train.jsonl", tiny.rows(20))
        write_jsonl(tmp_path / "rows" / "test.jsonl", test or tiny.rows(4, start=100))
        data.prepare(
            DataSpec(source="rows", num_validation=0),
            prompt,
            base_dir=tmp_path,
            cache_dir=tmp_path / "cache",
            output_dir=tmp_path / "prepared",
            chat=read_chat_template(chat_model),
        )
        return tmp_path / "prepared"

    return run


def test_without_examples_the_question_is_the_text_that_was_trained_on(ask, chat_model, prepared):
    folder = prepared()
    outcome = ask(model_dir=chat_model, data_dir=folder, prompt=CHAT)
    rows = list(iter_jsonl(folder / "test.jsonl"))
    assert [sample.prompt for sample in outcome.samples] == [
        row["segments"][0]["text"] for row in rows
    ]
    assert outcome.samples[0].prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert outcome.result.effective["prompt_template"] == "chat"


@pytest.mark.parametrize("template", ["chat", INST])
def test_worked_examples_are_turns_of_the_same_chat(ask, chat_model, prepared, template):
    prompt = PromptSpec(template=template, text="Q: {{prompt}}")
    folder = prepared(prompt)
    outcome = ask(model_dir=chat_model, data_dir=folder, prompt=prompt, num_fewshot=2)
    chat = read_chat_template(chat_model)
    text = chat.text if template == "chat" else template
    renderer = ChatRenderer(chat.model_copy(update={"text": text}))
    answers = {f"Q: {row['question']}": row["answer"] for row in tiny.rows(20)}
    for sample, row in zip(outcome.samples, iter_jsonl(folder / "test.jsonl"), strict=True):
        shown = sorted(
            (question for question in answers if question in sample.prompt),
            key=sample.prompt.index,
        )
        turns = [
            turn
            for question in shown
            for turn in (
                {"role": "user", "content": question},
                {"role": "assistant", "content": answers[question]},
            )
        ]
        asked = [*turns, {"role": "user", "content": f"Q: {row['prompt']}"}]
        assert len(shown) == 2
        assert sample.prompt == renderer.render(asked, ask=True)
    assert outcome.result.effective["chat_template"] == text


def test_the_system_message_of_the_recipe_opens_a_chat_with_examples(ask, chat_model, prepared):
    prompt = PromptSpec(template="chat", system="Be brief.")
    outcome = ask(model_dir=chat_model, data_dir=prepared(prompt), prompt=prompt, num_fewshot=1)
    assert outcome.samples[0].prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert outcome.result.effective["system_prompt"] == "Be brief."


def test_a_template_that_refuses_the_system_message_stops_the_evaluation(ask, chat_model, prepared):
    prompt = PromptSpec(template=INST)
    folder = prepared(prompt)
    with pytest.raises(JobError, match="Only user and assistant roles are supported"):
        ask(
            model_dir=chat_model,
            data_dir=folder,
            prompt=prompt.model_copy(update={"system": "Be brief."}),
            num_fewshot=1,
        )


def test_rows_with_turns_of_their_own_are_asked_as_trained_but_not_after_examples(
    ask, chat_model, prepared
):
    turns = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "#### 2"},
        {"role": "user", "content": "And 3 more?"},
        {"role": "assistant", "content": "#### 5"},
    ]
    folder = prepared(test=[{"messages": turns}])
    (row,) = iter_jsonl(folder / "test.jsonl")
    (sample,) = ask(model_dir=chat_model, data_dir=folder, prompt=CHAT).samples
    assert sample.prompt == "".join(segment["text"] for segment in row["segments"][:-1])
    with pytest.raises(JobError, match="earlier turns, which cannot be asked"):
        ask(model_dir=chat_model, data_dir=folder, prompt=CHAT, num_fewshot=1)


def test_a_model_without_a_template_cannot_be_asked_in_a_chat(ask, prepared):
    with pytest.raises(JobError, match="comes without a chat template"):
        ask(data_dir=prepared(), prompt=CHAT, num_fewshot=1)
