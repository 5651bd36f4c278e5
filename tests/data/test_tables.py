"""Reading CSV and Parquet."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.made import qa

from bakeoff.base.errors import UserError

TEST_ROW = [qa("How many legs has a spider?", "#### 8")]


def as_csv(rows):
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerows(rows)
    return out.getvalue()


def as_parquet(path, columns, **options):
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


# The csv module reads no bare carriage return and no NUL back as it wrote them.
cells = st.text(st.characters(exclude_characters="\r\x00", codec="utf-8"), min_size=1).filter(
    lambda text: text.strip()
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_any_text_survives_csv(prepare, write, pairs):
    write("rows/train.csv", as_csv([("question", "answer"), *pairs]))
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare(allow_overlap=True)
    assert sorted((row["prompt"], row["response"]) for row in rows["train"]) == sorted(pairs)


def test_what_excel_saves_as_csv_utf_8_is_read(prepare, write):
    write("rows/train.csv", "\ufeffquestion,answer\r\n多少？,#### 3\r\n")
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare()
    assert (rows["train"][0]["prompt"], rows["train"][0]["id"]) == ("多少？", "train-2")


def test_a_text_longer_than_the_csv_modules_own_limit_is_read(prepare, write):
    write("rows/train.csv", as_csv([("question", "answer"), ("1?", "x" * 200_000)]))
    write("rows/test.jsonl", TEST_ROW)
    _, rows = prepare()
    assert len(rows["train"][0]["response"]) == 200_000


CSV_MISTAKES = {
    "unquoted comma": ("question,answer\n1?,1\n2, or 3?,2\n", "line 3", "expected 2 values",
                       "double quotes"),
    "open quote": ('question,answer\n"1?,1\n', "line 2", "not valid CSV", "doubled"),
    "semicolons": ("question;answer\n1?;1\n", "line 1", "separated by semicolons", "commas"),
    "tabs": ("question\tanswer\n1?\t1\n", "line 1", "separated by tabs", "commas"),
    "column twice": ("question,answer,answer\n", "line 1", "stands there 2 times", "rename"),
    "no such column": ("questoin,answer\n1?,1\n", "line 1", "no column `question`",
                       "`data.columns.prompt: questoin`"),
    "empty cell": ("question,answer\n1?,\n", "line 2", "`answer` is empty", "fill it in"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", CSV_MISTAKES)
def test_a_mistake_in_csv_is_named_with_its_line(prepare, write, mistake):
    text, place, cause, hint = CSV_MISTAKES[mistake]
    path = write("rows/train.csv", text)
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError) as raised:
        prepare()
    assert str(raised.value).startswith(f"{path}, {place}")
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_parquet_in_parts_is_one_split(prepare, write, tmp_path):
    for part, questions in enumerate((["1?", "2?"], ["3?"])):
        columns = {
            "question": questions,
            "answer": [1] * len(questions),
            "other": [[0]] * len(questions),
        }
        as_parquet(tmp_path / f"rows/train-0000{part}-of-00002.parquet", columns)
    write("rows/test.jsonl", TEST_ROW)
    manifest, rows = prepare()
    assert manifest.num_rows["train"] == 3
    assert {row["id"]: row["prompt"] for row in rows["train"]} == {
        "train-1.1": "1?",
        "train-1.2": "2?",
        "train-2.1": "3?",
    }


def test_a_bad_row_of_parquet_is_named_by_its_number(prepare, write, tmp_path):
    path = as_parquet(tmp_path / "rows/train.parquet", {"question": ["1?", None], "answer": [1, 2]})
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="row 2: `question` must be text, got null") as raised:
        prepare()
    assert str(path) in str(raised.value)


def test_a_column_missing_from_parquet_is_named(prepare, write, tmp_path):
    as_parquet(tmp_path / "rows/train.parquet", {"problem": ["1?"], "answer": ["1"]})
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match="no column `question`; the columns there are") as raised:
        prepare()
    assert "`data.columns.prompt: problem`" in raised.value.hint


def test_a_text_file_named_parquet_is_recognised(prepare, write):
    write("rows/train.parquet", "question,answer\n")
    write("rows/test.jsonl", TEST_ROW)
    with pytest.raises(UserError, match=r"train\.parquet cannot be read as Parquet"):
        prepare()
