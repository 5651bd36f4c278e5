"""`bakeoff data check`: ten broken files, one for each mistake, and what stands between splits."""

import json

import pytest
from tests import tiny
from tests.data.made import qa

from bakeoff.base.hub import HubAccess
from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.inspection.check import CheckSettings, check_rows
from bakeoff.data.inspection.subject import open_splits
from bakeoff.data.sources import Surroundings
from bakeoff.schema.recipe_subject import Columns, DataSpec, PromptSpec
from bakeoff.schema.sample import Layout, Message, Sample

STORY = (
    "Weng earns twelve dollars an hour for babysitting and yesterday she just did fifty minutes "
    "of babysitting before her aunt called her home for dinner, how much did she earn in all?"
)

GOOD = '{"question": "What is one and one?", "answer": "#### 2"}\n'


@pytest.fixture
def check(tmp_path):
    """Check a file or folder below ``tmp_path``."""

    def run(source="rows.jsonl", *, columns=Columns(), **settings):
        surroundings = Surroundings(tmp_path, tmp_path / "cache", HubAccess(), lambda *_: None)
        opened = open_splits(
            DataSpec(source=source, columns=columns), surroundings, is_recipe=False
        )
        made = {"prompt": PromptSpec(), "max_length": 64, **settings}
        return check_rows(opened, CheckSettings(source=source, **made), report=lambda *_: None)

    return run


def finding(found, code):
    """The one finding of a kind."""
    (only,) = [one for one in found.findings if one.code == code]
    return only


def codes(found, *severities):
    return {one.code for one in found.findings if one.severity in severities}


BROKEN = {
    "trailing comma": (
        GOOD + '{"question": "2 + 2?", "answer": "#### 4",}\n' + GOOD.replace("one", "two"),
        "json",
        ["line 2", "column 4", "a trailing comma", '"#### 4",}'],
    ),
    "single quotes": (
        GOOD + "{'question': '2 + 2?', 'answer': '#### 4'}\n",
        "json",
        ["line 2", "column 2", "single quotes", "'question'"],
    ),
    "cut off": (
        GOOD + '{"question": "2 + 2?", "answer": "#### 4"\n',
        "json",
        ["line 2", "ends before the object is closed"],
    ),
    "two files put together": (
        GOOD.encode() + "\ufeff".encode() + GOOD.replace("one", "six").encode(),
        "json",
        ["line 2", "column 1", "byte-order mark"],
    ),
    "GBK": (
        GOOD.encode() + '{"question": "小明有几个苹果？", "answer": "#### 3"}\n'.encode("gbk"),
        "encoding",
        ["line 2", "column 16", "GBK", "小明有几个苹果"],
    ),
    "UTF-16": (GOOD.encode("utf-16"), "encoding", ["UTF-16"]),
    "BOM": (b"\xef\xbb\xbf" + GOOD.encode(), "byte-order-mark", []),
    "empty answer": (
        GOOD + '{"question": "2 + 2?", "answer": "  "}\n',
        "empty",
        ["line 2", "`answer` is empty"],
    ),
    "missing column": (
        GOOD + '{"question": "2 + 2?", "anser": "#### 4"}\n',
        "missing-column",
        ["line 2", "no column `answer`", "`anser`"],
    ),
    "an object for an answer": (
        GOOD + '{"question": "2 + 2?", "answer": {"value": 4}}\n',
        "wrong-type",
        ["line 2", "`answer` must be text", "an object"],
    ),
    "one object on several lines": (
        '{\n "question": "2 + 2?",\n "answer": "#### 4"\n}\n',
        "json",
        ["line 2", "one object spans several lines"],
    ),
    "nothing": ("\n\n", "no-rows", []),
    "null for an answer": (
        GOOD + '{"question": "2 + 2?", "answer": null}\n',
        "empty",
        ["line 2", "`answer` must be text, got null"],
    ),
    "no comma between rows": (
        f"[{GOOD}{GOOD.replace('one', 'six')}]",
        "json",
        ["after row 1", "line 2, column 1", "a comma is missing"],
    ),
    "rows one level below": (
        f'{{"data": [{GOOD.strip()}]}}',
        "missing-column",
        ["the rows lie inside `data`"],
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_each_mistake_is_found_and_said_by_name(write, check, mistake):
    content, code, words = BROKEN[mistake]
    write("rows.jsonl", content)
    found = check()
    bad = finding(found, code)
    shown = " ".join(f"{example.place} {example.text}" for example in bad.examples)
    for word in words:
        assert word in shown
    assert bad.why
    assert bad.todo
    assert found.num_errors == (mistake != "BOM")
    assert bad.severity == ("warning" if mistake == "BOM" else "error")


def turns(*roles):
    return {"messages": [{"role": role, "content": f"I am {role}."} for role in roles]}


ORDERS = {
    "two questions": (
        ("user", "user", "assistant"),
        "role-order",
        "two turns of the user in a row",
    ),
    "two answers": (
        ("user", "assistant", "assistant"),
        "role-order",
        "`messages[1]` and `messages[2]` are two turns of the assistant in a row",
    ),
    "an answer first": (("assistant", "user"), "role-order", "`messages[0]` is said by the assist"),
    "no last answer": (("user", "assistant", "user"), "role-order", "ends with the user"),
    "a late system": (("user", "system", "assistant"), "role-order", "`messages[1]` is a system"),
    "a stranger": (("user", "bard"), "unknown-role", "`messages[1].role` must be one of `user`"),
    "nobody": ((), "empty", "`messages` is empty"),
    "a tool": (("user", "tool_call", "tool", "assistant"), "structure", "calls tools"),
}


@pytest.mark.parametrize("mistake", ORDERS)
def test_speakers_in_a_wrong_order_are_found_with_their_row_and_turn(write, check, mistake):
    roles, code, words = ORDERS[mistake]
    write("rows.jsonl", [turns("user", "assistant"), turns(*roles), turns("user", "assistant")])
    found = check()
    bad = finding(found, code)
    assert (bad.severity, bad.count) == ("error", 1)
    assert bad.examples[0].place.endswith("rows.jsonl, line 2")
    assert words in bad.examples[0].text
    assert found.splits["train"].num_rows == 2


def test_turns_are_counted_as_the_file_has_them_where_the_system_message_has_a_column(write, check):
    write("rows.jsonl", [{"system": "Be brief.", **turns("user", "user", "assistant")}])
    text = finding(check(), "role-order").examples[0].text
    assert "`messages[0]` and `messages[1]`" in text


def conversation(question, answer):
    return Sample((Message("user", question, False), Message("assistant", answer, True)))


@pytest.mark.parametrize("name", [name for name in ROW_FORMATS.names() if name != "text"])
def test_whatever_the_format_the_same_is_found(write, check, name):
    def rows(*samples):
        row_format = ROW_FORMATS.get(name)
        return [row_format.write(sample, Layout(), with_optional=()) for sample in samples]

    good = [conversation(f"Is {number} odd?", f"#### {number}") for number in range(10, 20)]
    again = conversation("is 12  odd?", "Yes.\n#### 12")
    other = conversation("Is 13 odd?", "#### 14")
    cut = conversation("Is 30 odd?", "Because <|im_end|> of")
    long = conversation("Is 31 odd? " + "Is it? " * 99, "#### 31")
    write("rows/train.jsonl", rows(*good, good[0], other, cut, long))
    write("rows/test.jsonl", rows(again, conversation("Is 40 odd?", "#### 40")))
    found = check("rows")
    assert found.splits["train"].row_format == name
    assert {one.code: one.count for one in found.findings if one.severity != "info"} == {
        "contamination-normalised": 1,
        "duplicate": 1,
        "contradiction": 1,
        "answer-pattern": 1,
        "unfinished-answer": 1,
        "control-token": 1,
        "too-long": 1,
    }


def test_of_several_turns_all_are_looked_at(write, check):
    def row(*contents):
        roles = ("user", "assistant") * 2
        pairs = zip(roles, contents, strict=True)
        return {"messages": [{"role": role, "content": text} for role, text in pairs]}

    rows = [
        row("Is 1 odd?", "Yes.", "And 2?", "No."),
        row("Is 2 odd?", "No.", "And 2?", "No."),
        row("Is 1 odd?", "Oh yes.", "And 2?", "No."),
        row("Is 1 odd?", "Yes.", "And 2?", "No."),
        row("Is 5 odd?", "Yes.</s>", "And 6?", "No."),
    ]
    write("rows/train.jsonl", rows)
    write("rows/test.jsonl", [row("Is 5 odd?", "Yes.", "And 6?", "No.")])
    found = check("rows")
    assert "line 4" in finding(found, "duplicate").examples[0].place
    assert "line 5" in finding(found, "control-token").examples[0].place
    assert finding(found, "contamination-exact").examples[0].text == "Is 5 odd? And 6?"


def test_plain_texts_are_compared_whole_and_have_no_answer_to_miss(write, check):
    write("rows/train.txt", "\n".join([STORY, "Another line.", STORY]))
    write("rows/test.jsonl", [qa("Is 1 odd?", "#### 1")])
    found = check("rows", max_length=999, wants_pattern=True)
    assert {name: facts.row_format for name, facts in found.splits.items()} == {
        "train": "text",
        "test": "prompt-response",
    }
    assert codes(found, "error", "warning") == {"duplicate"}


def test_a_named_column_that_no_row_has_is_an_error(write, check):
    write("rows.jsonl", GOOD)
    found = check(columns={"system": "sistem"})
    assert "no row has the column `sistem`" in finding(found, "missing-column").examples[0].text


def test_every_bad_line_is_counted_and_the_good_ones_between_them_are_read(write, check):
    write("rows.jsonl", (GOOD + "{'a': 1}\n") * 30 + "[1]\n")
    found = check()
    assert finding(found, "json").count == 30
    assert len(finding(found, "json").examples) == 5
    assert finding(found, "wrong-type").count == 1
    assert found.splits["train"].num_rows == 30
    assert found.splits["train"].num_bad_rows == 31


def test_an_array_with_a_mistake_ends_there_and_is_an_error(write, check):
    write("rows.json", "[" + GOOD.strip() + ", {'question': 1}]")
    found = check("rows.json")
    assert "row 2" in finding(found, "json").examples[0].place
    assert "what follows in " in finding(found, "json").message
    assert found.splits["train"].num_rows == 1


def test_sound_rows_give_no_error_and_no_warning(write, check):
    write("rows/train.jsonl", tiny.rows(30))
    write("rows/test.jsonl", tiny.rows(6, start=100))
    found = check("rows")
    assert codes(found, "error", "warning") == set()
    assert (found.num_errors, found.num_warnings) == (0, 0)
    assert {name: facts.num_rows for name, facts in found.splits.items()} == {
        "train": 30,
        "test": 6,
    }


def test_repeated_and_contradictory_rows_are_told_apart(write, check):
    rows = [
        qa("What is 1 + 1?", "1 + 1 = 2\n#### 2"),
        qa("what  is 1 + 1?", "1 + 1 = 2\n#### 2"),
        qa("What is 1 + 1?", "Two.\n#### 2"),
        qa("What is 1 + 1?", "#### 3"),
    ]
    write("rows.jsonl", rows)
    found = check()
    assert finding(found, "duplicate").count == 1
    assert "line 2" in finding(found, "duplicate").examples[0].place
    contradiction = finding(found, "contradiction")
    assert contradiction.count == 1
    assert "line 4" in contradiction.examples[0].place
    assert "#### 3" in contradiction.examples[0].text
    assert "#### 2" in contradiction.examples[0].other_text


def test_test_questions_in_the_training_rows_are_found_at_three_depths(write, check):
    other = " ".join(f"word{index}" for index in range(40))
    copied = "Once upon a time " + " ".join(STORY.split()[:16]) + " " + other
    write("rows/train.jsonl", [qa("Is one odd?"), qa("IS  two odd?"), qa(copied), qa(other)])
    write("rows/test.jsonl", [qa("Is one odd?"), qa("Is two odd?"), qa(STORY), qa("Is 3 odd?")])
    found = check("rows", max_length=999)
    assert finding(found, "contamination-exact").count == 1
    assert finding(found, "contamination-normalised").count == 1
    runs = finding(found, "contamination-ngram")
    assert (runs.count, runs.split) == (1, "test, train")
    assert "line 3" in runs.examples[0].place
    assert "line 3" in runs.examples[0].other_place
    assert 0 < runs.examples[0].share < 0.5
    assert found.num_errors == 2


def test_a_copied_question_is_not_counted_again_for_what_else_it_resembles(write, check):
    start = " ".join(STORY.split()[:16])
    write("rows/train.jsonl", [qa(STORY), qa(f"{start} and so on")])
    write("rows/test.jsonl", [qa(STORY)])
    assert codes(check("rows", max_length=999), "error", "warning") == {"contamination-exact"}


def test_each_of_many_test_questions_like_many_training_questions_is_found(write, check):
    names = [f"{first}{second}" for first in "abcdefgh" for second in "abcdefghij"]
    rows = [qa(f"{STORY} {name}", f"#### {name}") for name in names]
    write("rows/train.jsonl", rows[:40])
    write("rows/test.jsonl", rows[40:])
    assert finding(check("rows", max_length=999), "contamination-near").count == 40


def test_with_allow_overlap_the_same_is_only_a_warning(write, check):
    write("rows/train.jsonl", [qa("Is one odd?"), qa("Is two odd?")])
    write("rows/test.jsonl", [qa("Is one odd?")])
    assert finding(check("rows", allow_overlap=True), "contamination-exact").severity == "warning"


def test_validation_is_compared_with_both_sides(write, check):
    write("rows/train.jsonl", [qa("Is one odd?"), qa("Is two odd?")])
    write("rows/validation.jsonl", [qa("Is one odd?"), qa("Is six odd?")])
    write("rows/test.jsonl", [qa("Is six odd?")])
    shared = [one for one in check("rows").findings if one.code == "contamination-exact"]
    # A run takes validation's questions out of training, but cannot mend the test.
    assert {(one.split, one.severity) for one in shared} == {
        ("validation, train", "warning"),
        ("test, validation", "error"),
    }


def test_questions_with_one_changed_word_are_near_duplicates(write, check):
    write("rows/train.jsonl", [qa(STORY), qa(STORY.replace("twelve", "ninety")), qa("Is 1 odd?")])
    write("rows/test.jsonl", [qa(STORY.replace("dinner", "supper")), qa("Are dogs cats?")])
    found = check("rows")
    assert finding(found, "near-duplicate").count == 1
    across = finding(found, "contamination-near")
    assert (across.count, across.split) == (1, "test, train")
    assert across.examples[0].share > 0.8


def test_chinese_near_duplicates_are_found_character_by_character(write, check):
    question = "小明在商店里买了三个苹果和五个香蕉，一共花了二十元，请问他平均每个水果花了多少钱？"
    write("rows.jsonl", [qa(question), qa(question.replace("小明", "小红")), qa("一加一等于几？")])
    assert finding(check(), "near-duplicate").count == 1


def test_rows_that_are_too_long_are_counted_with_the_recipes_tokenizer(write, check, tiny_model):
    rows = tiny.rows(6)
    rows[2]["answer"] = "So " * 200 + rows[2]["answer"]
    rows[4]["question"] = "So " * 200 + rows[4]["question"]
    write("rows.jsonl", rows)
    found = check(max_length=100, tokenizer_dir=tiny_model)
    long = finding(found, "too-long")
    assert (long.count, long.severity) == (2, "warning")
    assert "in 1 of them the answer alone is longer" in long.message
    assert found.splits["train"].lengths.unit == "tokens"
    assert (
        finding(
            check(max_length=100, overlong="error", tokenizer_dir=tiny_model), "too-long"
        ).severity
        == "error"
    )


def test_what_cutting_questions_would_save_is_told(write, check, tiny_model):
    rows = tiny.rows(6)
    rows[2]["answer"] = "So " * 200 + rows[2]["answer"]
    rows[4]["question"] = "So " * 200 + rows[4]["question"]
    write("rows.jsonl", rows)
    how = {"max_length": 100, "overlong": "truncate-prompt-left", "tokenizer_dir": tiny_model}
    message = finding(check(**how), "too-long").message
    assert "would cut 1 of them at the beginning of the question, and drop 1 in which" in message


def test_rows_that_the_template_fails_on_are_an_error_with_their_place(write, check):
    write("rows.jsonl", [qa("four"), qa("longer")])
    prompt = PromptSpec(text="{{ 1 // (prompt | length - 4) }}{{ prompt }}")
    failed = finding(check(prompt=prompt), "template")
    assert (failed.severity, failed.count, failed.out_of) == ("error", 1, 2)
    assert "line 1" in failed.examples[0].place
    assert "by zero" in failed.examples[0].text


def test_without_a_tokenizer_lengths_are_called_estimates(write, check):
    write("rows.jsonl", [qa("word " * 200)])
    found = check()
    assert "estimate" in finding(found, "too-long").message
    assert found.splits["train"].lengths.unit == "estimated tokens"
    assert found.tokenizer is None


def test_a_tokenizer_without_an_end_is_an_error(write, check, tiny_model, tmp_path):
    write("rows.jsonl", GOOD)
    config = json.loads((tiny_model / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["eos_token"]
    (tmp_path / "model").mkdir()
    tokenizer = (tiny_model / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "model" / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    write("model/tokenizer_config.json", json.dumps(config))
    assert codes(check(tokenizer_dir=tmp_path / "model"), "error") == {"no-end-token"}


TEXT_MISTAKES = {
    "answer-pattern": qa("Is 11 odd?", "Yes, it is 11."),
    "control-token": qa("Is 11 odd?", "Yes.<|im_end|>\n#### 1"),
    "garbled-text": qa("Is \ufffd\ufffd odd?", "Yes.\n#### 1"),
    "answer-in-question": qa(
        "It is: Because eleven is odd. #### 1", "Because eleven is odd. #### 1"
    ),
    "unfinished-answer": qa("Is 11 odd?", "Because eleven cannot be"),
}


@pytest.mark.parametrize("code", TEXT_MISTAKES)
def test_one_odd_row_among_sound_ones_is_pointed_at(write, check, code):
    write("rows.jsonl", [*tiny.rows(10), TEXT_MISTAKES[code], *tiny.rows(10, start=20)])
    odd = finding(check(max_length=500), code)
    assert (odd.count, odd.severity) == (1, "warning")
    assert "line 11" in odd.examples[0].place


def test_a_dataset_of_another_form_is_not_measured_by_gsm8ks(write, check):
    write("rows.jsonl", [qa(f"What is {n}?", f"It is {n}.") for n in range(20)])
    assert "answer-pattern" not in codes(check(), "warning")
    assert "20 of 20" in finding(check(wants_pattern=True), "answer-pattern").message


def test_languages_are_told_and_a_shift_between_splits_is_a_warning(write, check):
    write("rows/train.jsonl", [qa(f"What is {n} and one?") for n in range(10)])
    write("rows/test.jsonl", [qa(f"{n}加一等于几？", "等于几\n#### 1") for n in range(4)])
    found = check("rows")
    shift = finding(found, "language-shift")
    assert "Chinese makes 100% of test, but 0% of train" in shift.message
    told = {one.split: one.message for one in found.findings if one.code == "languages"}
    assert told == {"train": "languages: Latin 100.0%", "test": "languages: Chinese 100.0%"}


def test_columns_of_usual_names_are_found_and_the_others_are_named(write, check):
    write(
        "rows.jsonl",
        [
            {"instruction": f"Is {n} odd?", "input": "", "output": "#### 1", "level": n}
            for n in range(3)
        ],
    )
    found = check()
    assert found.splits["train"].columns == {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
    }
    assert finding(found, "columns").message == (
        "read as alpaca: the question from `instruction` and `input`, the answer from `output`; "
        "not used: `level`"
    )


def test_real_gsm8k_is_clean_but_for_three_pairs(check, gsm8k):
    found = check(str(gsm8k.resolve()), max_length=1024)
    assert found.num_errors == 0
    assert {name: facts.num_rows for name, facts in found.splits.items()} == {
        "train": 7473,
        "test": 1319,
    }
    runs = finding(found, "contamination-ngram")
    assert runs.count == 3
    assert "A train travels 270 miles" in runs.examples[0].other_text
    assert found.seconds < 60
