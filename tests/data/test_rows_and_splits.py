"""What a row must be, where splits are found, what is drawn, and overlaps."""

# ruff: noqa: RUF001 - Chinese punctuation is part of what is tested

import json
import random

import pytest
from tests.data.made import qa

from bakeoff import data
from bakeoff.base.errors import UserError
from bakeoff.data.overlap import question_key
from bakeoff.schema.recipe_subject import Columns, DataSpec

TEST_ROW = [qa("How many legs has a spider?", "#### 8")]


def many(number, *, start=0):
    return [qa(f"How much is {i} + 1?", f"#### {i + 1}") for i in range(start, start + number)]


BAD_ROWS = {
    "not an object": ([1, 2], "expected an object with the columns `question` and `answer`, "
                              "got a list: [1, 2]", '{"question": "1 + 1?", "answer": "2"}'),
    "text": ("1?", 'got text: "1?"', "a row looks like"),
    "null": (qa(None), "`question` must be text, got null", "correct the row"),
    "list": (qa("1?", ["1"]), '`answer` must be text, got a list: ["1"]', "correct the row"),
    "bool": (qa("1?", True), "`answer` must be text, got true or false", "correct the row"),
    "number asked": (qa(7), "`question` must be text, got a number: 7", "correct the row"),
    "empty": (qa(""), "`question` is empty", "take the row out"),
    "blank": (qa("1?", " \n\u3000"), "`answer` is empty", "take the row out"),
    "half an emoji": (qa("1? \ud83d"), "`question` holds half a character", "emoji"),
    "other column": ({"instruction": "1?", "answer": "1"},
                     "no column `question`; the columns there are `instruction`, `answer`",
                     "`data.columns.prompt: instruction`"),
    "misspelt": ({"question": "1?", "Answers": "1"}, "no column `answer`",
                 "`data.columns.response: Answers`"),
    "nothing alike": ({"question": "1?", "x": "1"}, "the columns there are `question`, `x`",
                      "set `data.columns.response` in the recipe"),
    "no columns": ({}, "the columns there are none at all", "`data.columns.prompt`"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_named_with_what_was_expected_and_what_came(prepare, write, kind):
    row, cause, hint = BAD_ROWS[kind]
    path = write("rows/train.jsonl", "".join(json.dumps(r) + "\n" for r in [*many(2), row]))
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError) as raised:
        prepare()
    assert str(raised.value).startswith(f"{path}, line 3: ")
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_a_bad_row_of_the_test_split_is_refused_too(prepare, write):
    write("rows/train.jsonl", many(2))
    write("rows/test.jsonl", [qa("")])
    with pytest.raises(UserError, match=r"test\.jsonl, line 1: `question` is empty"):
        prepare()


def test_a_bad_row_in_an_array_is_named_by_its_place_in_it(prepare, write):
    write("rows/train.json", json.dumps([*many(2), qa("")], indent=1))
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"train\.json, row 3: `question` is empty"):
        prepare()


@pytest.mark.parametrize("content", ["", "\n\n", "[]", "[ ]\n"])
def test_an_empty_dataset_is_refused(prepare, write, content):
    write("rows/train.json", content)
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"train\.json: expected rows for `data\.train`"):
        prepare()


def test_other_columns_are_read_when_the_recipe_names_them(prepare, write):
    write("rows/train.jsonl", [{"instruction": "1?", "output": "1", "question": "no"}])
    write("rows/test.jsonl", [{"instruction": "2?", "output": "2"}])
    _, rows = prepare(columns=Columns(prompt="instruction", response="output"))
    assert (rows["train"][0]["prompt"], rows["test"][0]["response"]) == ("1?", "2")


def test_nothing_is_left_behind_when_a_row_is_bad(prepare, write, tmp_path):
    write("rows/train.jsonl", [*many(2), qa("")])
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError):
        prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


# Where splits are found


def test_splits_are_found_by_path_with_slashes_of_either_kind(prepare, write):
    write("my data/learn.jsonl", many(3))
    write("my data/exam.jsonl", TEST_ROW)
    by_file, _ = prepare(r"my data\learn.jsonl", test=r"my data\exam.jsonl")
    by_folder, _ = prepare("my data", train="learn.jsonl", test="./my data/exam.jsonl")
    by_name, _ = prepare("my data", train="learn", test="exam")
    assert by_file.num_rows == {"train": 3, "validation": 0, "test": 1}
    assert by_file.digest == by_folder.digest == by_name.digest


def test_a_subset_is_a_folder_or_else_makes_no_difference(prepare, write):
    for subset in ("main", "other"):
        write(f"repo/{subset}/train-00000-of-00001.jsonl", [qa(f"{subset}?")])
        write(f"repo/{subset}/test-00000-of-00001.jsonl", TEST_ROW)
    write("plain/train.jsonl", many(1))
    write("plain/test.jsonl", TEST_ROW)
    assert prepare("repo", subset="main")[1]["train"][0]["prompt"] == "main?"
    assert prepare("plain", subset="main")[0].num_rows["train"] == 1
    with pytest.raises(UserError, match="no file holds the split `train`") as raised:
        prepare("repo")
    assert "`data.subset: other`" in raised.value.hint


def test_one_file_alone_is_refused_because_nothing_is_left_to_score(prepare, write):
    path = write("learn.jsonl", many(3))
    with pytest.raises(UserError, match=r"no split `test` for `data\.test`") as raised:
        prepare("learn.jsonl")
    assert str(path) in str(raised.value)
    assert "`data.test: PATH`" in raised.value.hint


WRONG_PLACES = {
    "source": ({"source": "rowz/x.jsonl"}, "`data.source: rowz/x.jsonl` names no file or folder",
               "did you mean `rows`?"),
    "split": ({"test": "tests"}, "`data.test` in ", "did you mean `test`?"),
    "odd split": ({"test": "zzz"}, "no file holds the split `zzz`; the files of rows there are: "
                  "`test.jsonl`, `train.jsonl`", "as its file is called"),
    "path": ({"test": "rows/tset.jsonl"}, "`data.test: rows/tset.jsonl` names no file", "did you"),
    "kind": ({"train": "a.jsonl", "source": "notes.md"}, "names no file", "holds"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_PLACES)
def test_a_missing_file_or_split_is_named_with_its_key(prepare, write, kind):
    spec, cause, hint = WRONG_PLACES[kind]
    write("rows/train.jsonl", many(3))
    write("rows/test.jsonl", TEST_ROW)
    write("notes.md", "hello")
    with pytest.raises(UserError) as raised:
        prepare(**{"source": "rows", **spec})
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_a_file_of_another_kind_is_refused(prepare, write):
    write("notes.md", "hello")
    write("test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"notes\.md is no kind of file") as raised:
        prepare("notes.md", test="test.jsonl")
    assert ".csv, .json, .jsonl, .parquet" in raised.value.hint


def test_two_files_for_one_split_are_refused(prepare, write):
    write("rows/train.jsonl", many(3))
    write("rows/train.csv", "question,answer\n1?,1\n")
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="several files could be the split `train`"):
        prepare()


# What is drawn


def test_the_seed_decides_which_rows_are_drawn_and_in_which_order(prepare, write):
    write("rows/train.jsonl", many(50))
    write("rows/test.jsonl", many(30, start=100))
    sizes = {"num_train": 10, "num_validation": 5, "num_test": 7}
    first, rows = prepare(seed=3, **sizes)
    again, _ = prepare(seed=3, **sizes)
    other, other_rows = prepare(seed=4, **sizes)
    assert first.num_rows == {"train": 10, "validation": 5, "test": 7}
    assert first.digest == again.digest != other.digest
    assert [row["id"] for row in rows["train"]] != [row["id"] for row in other_rows["train"]]
    assert [row["id"] for row in rows["test"]] != sorted(row["id"] for row in rows["test"])


def test_more_training_rows_leave_validation_and_test_as_they_were(prepare, write):
    write("rows/train.jsonl", many(50))
    write("rows/test.jsonl", many(30, start=100))
    _, few = prepare(num_train=10, num_validation=5, num_test=7)
    _, more = prepare(num_train=20, num_validation=5, num_test=7)
    assert (few["validation"], few["test"]) == (more["validation"], more["test"])
    assert more["train"][:10] == few["train"]


def test_asking_for_more_rows_than_there_are_takes_all(prepare, write):
    write("rows/train.jsonl", many(3))
    write("rows/test.jsonl", many(2, start=100))
    manifest, _ = prepare(num_train=10, num_test=10)
    assert manifest.num_rows == {"train": 3, "validation": 0, "test": 2}


def test_validation_comes_out_of_training_and_shares_no_question_with_it(prepare, write):
    copies = [qa(f" HOW much is  {i} + 1?", "#### 0") for i in range(20)]
    write("rows/train.jsonl", [*many(20), *copies])
    write("rows/test.jsonl", many(5, start=100))
    manifest, rows = prepare(num_validation=8)
    keys = {split: [question_key(row["prompt"]) for row in rows[split]] for split in rows}
    assert manifest.num_rows == {"train": 24, "validation": 8, "test": 5}
    assert len(set(keys["validation"])) == 8
    assert not set(keys["validation"]) & set(keys["train"])
    assert all(row["id"].startswith("train-") for row in rows["validation"])


def test_a_named_validation_split_is_used_and_taken_out_of_training(prepare, write):
    write("rows/train.jsonl", many(10))
    write("rows/dev.jsonl", many(4, start=8))
    write("rows/test.jsonl", many(5, start=100))
    manifest, rows = prepare(validation="dev", num_validation=64)
    assert manifest.num_rows == {"train": 8, "validation": 4, "test": 5}
    ids = {row["id"] for row in rows["validation"]}
    assert ids == {f"validation-{number}" for number in range(1, 5)}


def test_validation_that_would_eat_the_training_rows_is_refused(prepare, write):
    path = write("rows/train.jsonl", many(40))
    write("rows/test.jsonl", many(5, start=100))
    with pytest.raises(UserError) as raised:
        prepare(num_validation=64)
    assert f"{path} has 40 rows, and `data.num_validation` would take 40" in str(raised.value)
    assert "set `data.num_validation` to 4 or so" in raised.value.hint


# Overlaps


def test_test_questions_in_the_training_rows_are_refused_with_the_pairs(prepare, write):
    write("rows/train.jsonl", many(20))
    same = [qa("ｈow  much is 3 + 1?"), qa("How much is 7 + 1?\n"), qa("HOW MUCH IS 9 + 1?")]
    write("rows/test.jsonl", [*many(4, start=100), *same, qa("How much is 2 + 1?")])
    with pytest.raises(UserError) as raised:
        prepare()
    lines = str(raised.value).replace("\\", "/").splitlines()
    assert lines[0].startswith("4 of 8 test questions stand in the training rows too")
    assert "/rows/test.jsonl, line 5 = " in lines[1]
    assert "/rows/train.jsonl, line 4: ｈow much is 3 + 1?" in lines[1]
    assert "line 6 = " in lines[2]
    assert "line 8: How much is 7 + 1?" in lines[2]
    assert "line 7 = " in lines[3]
    assert lines[4] == "  and 1 more"
    assert "`data.allow_overlap: true`" in raised.value.hint


def test_an_overlap_that_the_recipe_allows_is_counted(prepare, write):
    write("rows/train.jsonl", many(20))
    write("rows/test.jsonl", [*many(4, start=100), *many(2)])
    manifest, rows = prepare(allow_overlap=True)
    assert (manifest.num_overlapping, manifest.num_rows["test"]) == (2, 6)
    assert len(rows["train"]) == 20


def test_test_questions_in_the_validation_rows_are_refused_too(prepare, write):
    write("rows/train.jsonl", many(20))
    write("rows/validation.jsonl", many(3, start=50))
    write("rows/test.jsonl", many(3, start=52))
    with pytest.raises(UserError, match=r"1 of 3 test questions[^|]*validation\.jsonl, line 3"):
        prepare(validation="validation")


def test_whether_an_overlap_is_refused_does_not_hang_on_the_rows_drawn(prepare, write):
    write("rows/train.jsonl", many(50))
    write("rows/test.jsonl", [*many(50, start=100), *many(1)])
    for seed in range(3):
        with pytest.raises(UserError, match="1 of 51 test questions"):
            prepare(seed=seed, num_train=1, num_test=1)


# The fingerprint


def test_the_fingerprint_follows_the_content_and_not_the_place(write, tmp_path):
    for folder in ("a", "b", "c"):
        write(f"{folder}/train.jsonl", many(3))
        write(f"{folder}/test.jsonl", TEST_ROW)
    write("c/test.jsonl", [qa("How many legs has a fly?", "#### 6")])
    prints = [data.fingerprint(DataSpec(source=name), base_dir=tmp_path) for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_the_fingerprint_of_a_hubs_dataset_needs_no_network(tmp_path):
    spec = DataSpec(source="openai/gsm8k", subset="main")
    pinned = spec.model_copy(update={"revision": "e53f048856ff4f594e959d75785d2c2d37b678ee"})
    prints = {data.fingerprint(each, base_dir=tmp_path) for each in (spec, spec, pinned)}
    assert len(prints) == 2


def test_the_fingerprint_of_a_missing_file_is_an_error(write, tmp_path):
    write("rows/train.jsonl", many(3))
    with pytest.raises(UserError, match="no file holds the split `test`"):
        data.fingerprint(DataSpec(source="rows"), base_dir=tmp_path)


# Real data


def test_real_gsm8k_is_prepared_as_it_is(prepare, gsm8k):
    manifest, rows = prepare(gsm8k, num_validation=64)
    assert manifest.num_rows == {"train": 7473 - 64, "validation": 64, "test": 1319}
    assert manifest.num_overlapping == 0
    lines = (gsm8k / "test.jsonl").read_text(encoding="utf-8").splitlines()
    for row in random.Random(0).sample(rows["test"], 20):
        raw = json.loads(lines[int(row["id"].removeprefix("test-")) - 1])
        assert (row["prompt"], row["response"]) == (raw["question"], raw["answer"])
