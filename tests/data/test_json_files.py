"""Reading JSON: what is accepted, and what a message says about the rest."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.made import qa

from bakeoff.base.errors import UserError

TEST_ROW = [qa("How many legs has a spider?", "#### 8")]


def test_an_array_and_one_object_a_line_give_the_same_rows(prepare, write):
    rows = [qa(f"{number} + 1?", f"#### {number + 1}") for number in range(5)]
    write("test.jsonl", TEST_ROW)
    write("lines.jsonl", rows)
    write("array.json", json.dumps(rows, indent=2))
    of_lines, _ = prepare("lines.jsonl", test="test.jsonl")
    of_array, _ = prepare("array.json", test="test.jsonl")
    assert of_lines.num_rows == {"train": 5, "validation": 0, "test": 1}
    assert of_array.digest == of_lines.digest


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_not_matter(prepare, write):
    write("rows/train.jsonl", b'\xef\xbb\xbf{"question": "1?", "answer": "1"}\r\n\r\n\r\n')
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare()
    assert [(row["id"], row["prompt"], row["response"]) for row in rows["train"]] == [
        ("train-1", "1?", "1")
    ]


def test_packed_files_are_read(prepare, write):
    text = json.dumps(qa("苹果有几个？", "#### 3"), ensure_ascii=False)
    write("rows/train.jsonl.gz", gzip.compress(text.encode()))
    write("rows/test.json.gz", gzip.compress(json.dumps(TEST_ROW).encode()))
    _, rows = prepare()
    assert rows["train"][0]["prompt"] == "苹果有几个？"


def test_a_damaged_packed_file_is_named(prepare, write):
    write("rows/train.jsonl.gz", gzip.compress(b"x" * 1000)[:20])
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"train\.jsonl\.gz cannot be unpacked"):
        prepare()


def test_a_number_as_response_becomes_its_text(prepare, write):
    write("rows/train.jsonl", [qa("6 x 7?", 42), qa("1 / 4?", 0.25), qa("2 ** 80?", 2**80)])
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare()
    assert sorted(row["response"] for row in rows["train"]) == [
        "0.25",
        "1208925819614629174706176",
        "42",
    ]


GOOD = '{"question": "1?", "answer": "1"}\n'

MISTAKES = {
    "trailing comma": (
        '{"question": "2?", "answer": "2",}', "line 2: not valid JSON at column 34", "comma",
        "take out the comma"),
    "single quotes": (
        "{'question': '2?', 'answer': '2'}", "column 2", "single quotes", "json.dumps"),
    "chinese quotes": ('{“question”: "2?"}', "column 2", "`“` is typographic", 'plain `"`'),
    "chinese comma": (
        '{"question": "2?"，"answer": "2"}', "column 18", "`，` is typographic", "plain `,`"),
    "chinese colon": ('{"question"："2?"}', "column 12", "`：` is typographic", "plain `:`"),
    "NaN": (
        '{"question": "NaN?", "answer": NaN}', "column 32", "NaN is no JSON value", "null"),
    "Python's None": (
        '{"question": "2?", "answer": None}', "column 30", "None is Python", "write null"),
    "no quotes": ("{question: 2}", "column 2", "without quotes", "double quotes"),
    "comment": ('{"question": "2?", // why\n', "column 20", "a comment", "take it out"),
    "missing comma": (
        '{"question": "2?" "answer": "2"}', "column 19", "a comma is missing", "comma"),
    "cut off": ('{"question": "2?", "answer": "2', "column 30", "ends before", "cut off"),
    "several lines": ("{", "column 2", "ends before", "each object on one line"),
    "two rows": (
        '{"question": "2?", "answer": "2"} {"question": "3?"}', "column 35", "more follows",
        "line of its own"),
    "comma after": (
        '{"question": "2?", "answer": "2"},', "column 34", "a comma after the row", "no commas"),
    "raw tab": ('{"question": "2\t?"}', "column 16", "a raw line break or tab", r"\n"),
    "backslash": (r'{"question": "C:\data"}', "column 17", "a single backslash", r"\\"),
    "web page": ("<!DOCTYPE html><html>", "column 1", "a web page", "download the file"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_line_is_named_with_its_place_and_its_mending(prepare, write, mistake):
    text, place, cause, hint = MISTAKES[mistake]
    path = write("rows/train.jsonl", GOOD + text + "\n")
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError) as raised:
        prepare()
    message = str(raised.value)
    assert message.startswith(f"{path}, line 2: not valid JSON at ")
    assert place in message
    assert cause in message
    assert hint in (raised.value.hint or "")


ARRAY_MISTAKES = {
    "trailing comma": ('[\n {"question": "1?", "answer": "1"},\n]', "row 2", "line 3, column 1",
                       "a trailing comma"),
    "missing comma": ('[{"question": "1?", "answer": "1"}\n {"q": 1}]', "after row 1",
                      "line 2, column 2", "a comma is missing"),
    "single quotes": ('[{"question": "1?", "answer": "1"}, {\'q\': 1}]', "row 2", "column 38",
                      "single quotes"),
    "not closed": ('[{"question": "1?", "answer": "1"}', "after row 1", "column 35",
                   "ends before"),
    "more": ('[{"question": "1?", "answer": "1"}]\n{}', "after row 1", "line 2, column 1",
             "more follows"),
    "NaN": ('[{"question": "NaN", "answer": NaN}]', "row 1", "column 32", "NaN is no JSON"),
}  # fmt: skip


ENDLESS = {
    "digits": '{"question": "1?", "answer": "1", "n": ' + "1" * 5000 + "}",
    "lists": "[" * 100_000,
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_what_is_too_long_or_too_deep_to_be_read_is_named(prepare, write, kind, name):
    text = ENDLESS[kind]
    write(f"rows/{name}", GOOD + text if name.endswith("l") else f"[{GOOD},{text}]")
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"(line|row) 2: .* without end"):
        prepare()


def test_an_answer_of_four_hundred_digits_is_an_answer(prepare, write):
    write("rows/train.jsonl", [qa("?", 10**400)])
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare()
    assert rows["train"][0]["response"] == "1" + "0" * 400


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_a_mistake_in_an_array_is_named_by_row_line_and_column(prepare, write, mistake):
    text, row, place, cause = ARRAY_MISTAKES[mistake]
    path = write("rows/train.json", text)
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError) as raised:
        prepare()
    assert str(raised.value).startswith(f"{path}, {row}: not valid JSON at ")
    assert place in str(raised.value)
    assert cause in str(raised.value)


def test_a_file_in_gbk_is_recognised(prepare, write):
    text = GOOD.encode() + '{"question": "小明有几个苹果？", "answer": "1"}\n'.encode("gbk")
    path = write("rows/train.jsonl", text)
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError) as raised:
        prepare()
    # The first character's two bytes happen to be good UTF-8, the second's are not.
    assert f"{path}, line 2, column 16: not UTF-8" in str(raised.value)
    assert "as GBK it reads well: `小明有几个苹果`" in str(raised.value)
    assert "save it as UTF-8" in raised.value.hint


def test_a_file_in_latin_1_is_not_taken_for_gbk(prepare, write):
    write(
        "rows/train.jsonl", '{"question": "caf\u00e9 ol\u00e9?", "answer": "1"}'.encode("latin-1")
    )
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="line 1, column 18: not UTF-8") as raised:
        prepare()
    assert "GBK" not in str(raised.value)


def test_a_file_in_utf_16_is_recognised(prepare, write):
    write("rows/train.jsonl", GOOD.encode("utf-16"))
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="is UTF-16; UTF-8 was expected"):
        prepare()


def test_a_git_lfs_pointer_is_recognised(prepare, write):
    write("rows/train.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="Git LFS pointer") as raised:
        prepare()
    assert "git lfs pull" in raised.value.hint


texts = st.text(min_size=1).filter(lambda text: text.strip())


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_any_text_comes_out_as_it_went_in(prepare, write, pairs):
    write("rows/train.jsonl", [qa(question, answer) for question, answer in pairs])
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare(allow_overlap=True)
    assert sorted((row["prompt"], row["response"]) for row in rows["train"]) == sorted(pairs)
    for row in rows["train"]:
        assert row["segments"] == [
            {"text": f"Question: {row['prompt']}\nAnswer:", "loss": False},
            {"text": f" {row['response']}", "loss": True},
        ]
