"""`bakeoff data split`: no question on two sides, done once, never over anything else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny
from tests.data.made import qa

from bakeoff import data
from bakeoff.base.errors import UserError
from bakeoff.base.files import iter_jsonl
from bakeoff.base.hub import HubAccess
from bakeoff.data.inspection.assign import LEFT_OUT, assign, join_equal
from bakeoff.data.inspection.minhash import Clusters
from bakeoff.data.inspection.split import split_rows
from bakeoff.data.inspection.subject import open_splits
from bakeoff.data.sources import Surroundings
from bakeoff.schema.data_split import SplitSettings
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec


@pytest.fixture
def split(tmp_path):
    """Split a source below ``tmp_path`` into `made`; gives the record, and rows by split."""

    def run(source="rows.jsonl", *, force=False, expect_reused=False, **asked):
        surroundings = Surroundings(tmp_path, tmp_path / "cache", HubAccess(), lambda *_: None)
        opened = open_splits(DataSpec(source=source), surroundings, is_recipe=False)
        record, is_reused = split_rows(
            opened,
            SplitSettings(**{"test": None, "validation": 0.1, **asked}),
            tmp_path / "made",
            source=source,
            force=force,
            report=lambda *_: None,
        )
        assert is_reused is expect_reused
        names = ("train", "validation", "test")
        paths = {name: tmp_path / "made" / f"{name}.jsonl" for name in names}
        return record, {
            name: list(iter_jsonl(path)) for name, path in paths.items() if path.exists()
        }

    return run


def test_every_row_goes_into_one_split_with_all_its_columns(write, split):
    rows = [{**row, "id": index} for index, row in enumerate(tiny.rows(50))]
    write("rows.jsonl", rows)
    record, made = split(test=0.2, validation=5)
    assert record.num_rows == {"train": 35, "validation": 5, "test": 10}
    assert (
        sorted((row for part in made.values() for row in part), key=lambda row: row["id"]) == rows
    )
    assert [row["id"] for row in made["train"]] == sorted(row["id"] for row in made["train"])


def test_the_same_again_is_reused_and_anything_else_is_refused(write, split, tmp_path):
    write("rows.jsonl", tiny.rows(40))
    first, made = split()
    again, same = split(expect_reused=True)
    assert (again, same) == (first, made)
    with pytest.raises(UserError, match="other rows or settings"):
        split(seed=1)
    other, _ = split(seed=1, force=True)
    assert other.id != first.id
    assert other.rows_digest == first.rows_digest
    (tmp_path / "made" / "test.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"`test\.jsonl` in it was changed"):
        split(seed=1)


def test_a_folder_with_something_else_is_never_replaced(write, split):
    write("rows.jsonl", tiny.rows(40))
    thesis = write("made/thesis.txt", "years of work")
    with pytest.raises(UserError, match="something else"):
        split(force=True)
    assert thesis.read_text(encoding="utf-8") == "years of work"


def test_another_validation_size_leaves_the_test_split_as_it_was(write, split):
    write("rows.jsonl", tiny.rows(60))
    _, small = split(validation=0.1)
    _, large = split(validation=0.3, force=True)
    assert small["test"] == large["test"]
    assert len(small["validation"]) < len(large["validation"])


def test_a_test_split_is_kept_and_its_questions_are_left_out_of_the_rest(write, split):
    test = tiny.rows(4, start=30)
    write("rows/train.jsonl", tiny.rows(32))
    write("rows/test.jsonl", test)
    record, made = split("rows")
    assert made["test"] == test
    assert record.num_left_out == 2
    assert record.num_rows == {"train": 27, "validation": 3, "test": 4}
    with pytest.raises(UserError, match="a test split already"):
        split("rows", test=0.2)


def test_rows_of_one_group_stay_together(write, split):
    rows = [{**row, "book": index // 5} for index, row in enumerate(tiny.rows(60))]
    write("rows.jsonl", rows)
    _, made = split(group_by="book", test=0.2, validation=0.2)
    books = {name: {row["book"] for row in part} for name, part in made.items()}
    assert len(books["train"]) + len(books["validation"]) + len(books["test"]) == 12
    with pytest.raises(UserError, match="no column `author`"):
        split(group_by="author")


def test_near_duplicates_do_not_straddle_when_asked(write, split):
    story = (
        "{} walks to the market every morning, buys {} loaves of bread and a bag of fresh apples, "
        "gives half of the apples to the neighbours and sells the rest for two dollars each, "
        "unless it rains, when {} stays at home and reads the paper instead. How many are sold?"
    )
    rows = []
    for number in range(30):
        name = f"Person{number} of {' '.join(f'w{number}x{n}' for n in range(40))}"
        rows += [qa(story.format(name, loaves, name)) for loaves in ("three", "four")]
    write("rows.jsonl", rows)

    def straddling(made):
        names = [{row["question"].split()[0] for row in part} for part in made.values()]
        return sum(map(len, names)) - len(set().union(*names))

    _, together = split(test=0.2, validation=0.2, near_duplicates=True)
    assert straddling(together) == 0
    _, apart = split(test=0.2, validation=0.2, force=True)
    assert straddling(apart) > 0


def test_what_was_split_is_prepared_without_an_overlap(write, split, tmp_path):
    rows = tiny.rows(40)
    write("rows.jsonl", [*rows, *({**row, "question": row["question"].upper()} for row in rows)])
    record, _ = split(test=0.2, validation=0.2)
    manifest = data.prepare(
        DataSpec(source="made", validation="validation", num_validation=99),
        PromptSpec(),
        base_dir=tmp_path,
        cache_dir=tmp_path / "cache",
        output_dir=tmp_path / "prepared",
    )
    assert manifest.num_overlapping == 0
    assert manifest.num_rows["train"] == record.num_rows["train"]


def test_a_bad_row_is_named_and_nothing_is_written(write, split, tmp_path):
    write("rows.jsonl", [*tiny.rows(20), qa("Is it?", " ")])
    with pytest.raises(UserError, match=r"line 21: `answer` is empty") as caught:
        split()
    assert "bakeoff data check" in caught.value.hint
    assert not (tmp_path / "made").exists()


def test_splits_that_leave_nothing_to_train_on_are_refused(write, split):
    write("rows.jsonl", tiny.rows(20))
    with pytest.raises(UserError, match="nothing would be left to train on"):
        split(test=0.5, validation=0.5)


def test_half_a_row_is_refused(write, split):
    write("rows.jsonl", tiny.rows(20))
    with pytest.raises(UserError, match=r"--test 2\.5: expected a share below 1"):
        split(test=2.5)


def test_a_group_that_is_too_large_for_a_split_is_named(write, split):
    write("rows.jsonl", [{**row, "book": 1} for row in tiny.rows(20)])
    with pytest.raises(UserError, match="those that belong together number up to 20"):
        split(group_by="book", test=0.2)


def test_all_columns_of_parquet_are_passed_on(tmp_path, split):
    import pyarrow
    import pyarrow.parquet

    rows = [{**row, "book": "书"} for row in tiny.rows(20)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    _, made = split("rows.parquet", group_by="question")
    assert made["train"][0].keys() == {"question", "answer", "book"}


@settings(max_examples=200, deadline=None)
@given(
    keys=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    num_fixed=st.integers(0, 10),
    test=st.floats(0, 0.6),
    validation=st.floats(0, 0.6),
    seed=st.integers(0, 5),
)
def test_no_key_ever_stands_on_two_sides(keys, num_fixed, test, validation, seed):
    num_fixed = min(num_fixed, len(keys))
    clusters = Clusters(len(keys))
    join_equal(clusters, keys)
    asked = SplitSettings(test=test, validation=validation, seed=seed)
    try:
        splits = assign(clusters, len(keys), num_fixed=num_fixed, settings=asked)
    except UserError:
        return
    sides = {}
    for key, name in zip(keys, splits, strict=True):
        sides.setdefault(key, set()).add(name)
    assert all(len(found - {LEFT_OUT}) == 1 for found in sides.values())
    assert splits[:num_fixed] == ["test"] * num_fixed
    pool = len(keys) - num_fixed
    assert splits[num_fixed:].count("test") <= round(test * pool)
    assert splits.count("validation") <= round(validation * pool)


def test_the_record_holds_what_made_it(write, split, tmp_path):
    write("rows.jsonl", tiny.rows(40))
    split(seed=3)
    record = json.loads((tmp_path / "made" / "split.json").read_text(encoding="utf-8"))
    assert record["settings"] == {
        "test": 0.1,
        "validation": 0.1,
        "seed": 3,
        "group_by": None,
        "near_duplicates": False,
    }
    assert set(record["digests"]) == {"train.jsonl", "validation.jsonl", "test.jsonl"}
