"""`bakeoff data inspect`: the tokens and labels shown are those that the trainer makes."""

import json
import shutil
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny
from tests.data.made import qa

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.data.inspection.look import InspectSettings, histogram, inspect_rows
from bakeoff.data.inspection.subject import open_splits
from bakeoff.data.inspection.tokens import TrainingTokenizer
from bakeoff.data.prompt import make_renderer
from bakeoff.data.rows import Row
from bakeoff.data.sources import Surroundings
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.worker.tokenizing import tokenize


@pytest.fixture
def inspect(tmp_path):
    """Inspect a file or folder below ``tmp_path``."""

    def run(
        source="rows.jsonl", *, num_shown=3, tokenizer_dir=None, prompt=None, chat=None, **train
    ):
        surroundings = Surroundings(tmp_path, tmp_path / "cache", HubAccess(), lambda *_: None)
        return inspect_rows(
            open_splits(DataSpec(source=source), surroundings, is_recipe=False),
            InspectSettings(
                source=source,
                prompt=prompt or PromptSpec(),
                chat=chat,
                train=TrainSpec(**train),
                num_shown=num_shown,
                tokenizer_dir=tokenizer_dir,
            ),
            report=lambda *_: None,
        )

    return run


def trained_on(folder, rows, *, raw=(), **how):
    """Ids and labels as the trainer makes them of the same rows."""
    from transformers import AutoTokenizer

    texts = list(raw) or [
        [
            {"text": f"Question: {row['question']}\nAnswer:", "loss": False},
            {"text": f" {row['answer']}", "loss": True},
        ]
        for row in rows
    ]
    made = tokenize(
        [{"id": str(index), "segments": segments} for index, segments in enumerate(texts)],
        AutoTokenizer.from_pretrained(folder),
        **{"max_length": 10_000, "overlong": "drop", "loss_on": "response", **how},
    )
    return [(tuple(row.token_ids), tuple(row.labels)) for row in made.rows]


@pytest.fixture(scope="module")
def demanding_model(tiny_model, tmp_path_factory):
    """The tiny model, with a tokenizer that begins texts, cuts them and fills them up."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path_factory.mktemp("demanding") / "model"
    shutil.copytree(tiny_model, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<|begin|>"])
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["bos_token"] = "<|begin|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


ROWS = [*tiny.rows(4), qa("Is <|end|> odd? 😀 é", "  Yes.\n\n#### 1 "), qa("同", "同")]


@pytest.mark.parametrize("loss_on", ["response", "all"])
@pytest.mark.parametrize("model", ["tiny_model", "demanding_model"])
def test_ids_and_labels_are_the_trainers(write, inspect, request, model, loss_on):
    folder = request.getfixturevalue(model)
    write("rows.jsonl", ROWS)
    found = inspect(num_shown=99, tokenizer_dir=folder, loss_on=loss_on)
    shown = [(sample.token_ids, sample.labels) for sample in found.samples]
    assert shown == trained_on(folder, ROWS, loss_on=loss_on)
    has_begin = model == "demanding_model"
    assert {ids[0] == 400 for ids, _ in shown} == {has_begin}


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=("Cs",))), st.text(min_size=1))
def test_any_text_becomes_the_trainers_tokens(tiny_model, question, answer):
    answer = answer.encode("utf-8", "ignore").decode() + "1"
    expected = trained_on(tiny_model, [qa(question, answer)])
    row = TrainingTokenizer(tiny_model).row(
        [
            {"text": f"Question: {question}\nAnswer:", "loss": False},
            {"text": f" {answer}", "loss": True},
        ],
        loss_on="response",
        max_length=10_000,
        overlong="drop",
    )
    assert [(tuple(row.token_ids), tuple(row.labels))] == expected


@pytest.mark.parametrize("model", ["tiny_model", "demanding_model"])
def test_a_question_is_cut_where_the_trainer_cuts_it(write, inspect, request, model):
    folder = request.getfixturevalue(model)
    how = {"max_length": 30, "overlong": "truncate-prompt-left"}
    rows = [
        qa("Is 1 odd?", "Yes.\n#### 1"),
        qa("So " * 30 + "is 3 odd?", "Yes.\n#### 1"),
        qa("Is 5 odd?", "So " * 40),
    ]
    write("rows.jsonl", rows)
    shown = inspect(tokenizer_dir=folder, **how).samples
    assert [sample.is_dropped for sample in shown] == [False, False, True]
    assert [bool(sample.num_cut) for sample in shown] == [False, True, False]
    assert len(shown[1].token_ids) == 30
    used = [(sample.token_ids, sample.labels) for sample in shown if not sample.is_dropped]
    assert used == trained_on(folder, rows, **how)


def test_a_beginning_that_a_chat_template_writes_stands_there_once(
    write, inspect, demanding_model, tmp_path
):
    template = (
        "<|begin|>{% for message in messages %}[{{message.role}}]{{message.content}}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    rows = [qa("Is 1 odd?", "Yes."), qa("Is 2 odd?", "No.")]
    write("rows.jsonl", rows)
    chat = ChatTemplate(
        text=template, special_tokens={"bos_token": "<|begin|>", "eos_token": "<|end|>"}
    )
    prompt = PromptSpec(template="chat")
    found = inspect(tokenizer_dir=demanding_model, prompt=prompt, chat=chat)
    rendered = [
        make_renderer(prompt, chat).render(Row(row["question"], row["answer"])).segments
        for row in rows
    ]
    expected = trained_on(demanding_model, [], raw=rendered)
    assert [(sample.token_ids, sample.labels) for sample in found.samples] == expected
    assert [sample.token_ids.count(400) for sample in found.samples] == [1, 1]
    (filled,) = [part for part in found.lengths if part.count]
    assert filled.start <= len(expected[0][0]) < filled.end


def test_rows_that_a_template_fails_on_are_counted_and_the_others_shown(write, inspect):
    prompt = PromptSpec(text="{{ 1 // (prompt | length - 4) }}{{ prompt }}")
    write("rows.jsonl", [qa("four"), qa("longer")])
    found = inspect(prompt=prompt)
    assert (found.splits["train"].num_rows, found.splits["train"].num_bad_rows) == (1, 1)
    assert [sample.place[-6:] for sample in found.samples] == ["line 2"]


def test_columns_splits_and_bad_rows_are_counted(write, inspect):
    write(
        "rows/train.jsonl",
        [
            {"question": "Is 1 odd?", "answer": "#### 1", "tags": ["a"], "level": 3},
            {"question": "Is 2 odd?", "answer": 0, "tags": None, "level": "高"},
            {"question": "Is 3 odd?", "answer": " "},
        ],
    )
    write("rows/test.jsonl", [qa("Is 4 odd?")])
    found = inspect("rows", num_shown=1)
    assert {name: (size.num_rows, size.num_bad_rows) for name, size in found.splits.items()} == {
        "train": (2, 1),
        "test": (1, 0),
    }
    facts = {column.name: column for column in found.columns}
    assert facts["answer"].types == {"text": 3, "number": 1}
    assert (facts["answer"].num_filled, facts["answer"].num_rows) == (3, 4)
    assert facts["tags"].types == {"list": 1, "null": 1}
    assert (facts["tags"].num_filled, facts["tags"].longest, facts["tags"].role) == (1, None, None)
    assert (facts["level"].longest, facts["question"].role) == (1, "prompt")
    assert [row["question"] for row in found.first_rows] == ["Is 1 odd?"]


def test_without_a_tokenizer_texts_are_shown_and_no_ids_are_invented(write, inspect):
    write("rows.jsonl", [qa("Is 1 odd?", "Yes")])
    found = inspect()
    (sample,) = found.samples
    assert [(part.text, part.learned) for part in sample.segments] == [
        ("Question: Is 1 odd?\nAnswer:", False),
        (" Yes", True),
    ]
    assert (sample.token_ids, sample.labels, found.end_token) == (None, None, None)
    assert found.length_unit == "estimated tokens"


def test_a_row_that_will_be_dropped_says_so(write, inspect, tiny_model):
    rows = tiny.rows(2)
    rows[1]["answer"] *= 30
    write("rows.jsonl", rows)
    found = inspect(tokenizer_dir=tiny_model, max_length=60)
    assert [sample.is_dropped for sample in found.samples] == [False, True]
    assert found.num_too_long == 1


@given(st.lists(st.integers(1, 5_000_000), min_size=1, max_size=50))
def test_every_length_stands_in_one_bin_of_a_histogram(lengths):
    bins = histogram(array("L", lengths))
    assert len(bins) <= 13
    assert [part.end for part in bins[:-1]] == [part.start for part in bins[1:]]
    for part in bins:
        assert part.count == sum(part.start <= length < part.end for length in lengths)
    assert sum(part.count for part in bins) == len(lengths)


def test_a_broken_tokenizer_is_a_clear_mistake(write, inspect, tmp_path):
    write("rows.jsonl", [qa("Is 1 odd?")])
    write("model/tokenizer.json", "{}")
    with pytest.raises(UserError, match=r"tokenizer\.json cannot be read as a tokenizer"):
        inspect(tokenizer_dir=tmp_path / "model")


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_tables_with_other_columns_are_shown_too(tmp_path, inspect, name):
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.table({"problem": ["Is 1 odd?"], "solution": ["#### 1"], "level": [3]})
    writer = pyarrow.csv.write_csv if name == "rows.csv" else pyarrow.parquet.write_table
    writer(table, tmp_path / name)
    found = inspect(name)
    roles = {column.name: column.role for column in found.columns}
    assert roles == {"problem": "prompt", "solution": "response", "level": None}
    assert found.splits["train"].num_rows == 1
