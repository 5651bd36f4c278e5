"""Task files for datasets of one's own: what is seen in the answers, and that it is asked so."""

import json

import pytest
from tests import tiny

from bakeoff.base.errors import UserError
from bakeoff.evals.answer_patterns import find_pattern
from bakeoff.evals.own_task import OwnTask, choose_columns, local_dataset, render_own_task


@pytest.mark.parametrize(
    ("answers", "name", "filters"),
    [
        (["2 + 2 = 4\n#### 4", "#### 1,000"], "`####`", ["strict-match", "flexible-extract"]),
        (["so \\boxed{12}", "\\boxed{7}"], "boxed", ["strict-match", "flexible-extract"]),
        (["so \\boxed{\\frac{1}{2}}", "\\boxed{x}"], "boxed", ["strict-match"]),
        (["A", "(B)", "C."], "a letter", ["strict-match"]),
        (["42", "-1,000", "$3.50"], "a number", ["flexible-extract"]),
        (["Paris", "the red one"], "the whole answer", ["exact"]),
    ],
)
def test_the_form_of_the_answers_is_seen(answers, name, filters):
    found = find_pattern(answers)
    assert name in found.name
    assert [chain["name"] for chain in found.scoring["filter_list"]] == filters


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("is (.+", "not a regular expression"),
        ("is .+", "one group in brackets was expected, got 0"),
        ("is (.+)", "found in 50% of the rows' own answers only, such as not in '5'"),
    ],
)
def test_a_pattern_that_cannot_serve_is_refused(pattern, message):
    with pytest.raises(UserError, match="--pattern") as caught:
        find_pattern(["it is 4", "5"], pattern=pattern)
    assert message in str(caught.value)


def test_columns_are_found_by_their_usual_names_or_named():
    assert choose_columns({"id": 1, "problem": "?", "solution": "!"}, None, None) == (
        "problem", "solution",
    )  # fmt: skip
    assert choose_columns({"q": "?", "a": "!"}, "q", "a") == ("q", "a")
    with pytest.raises(UserError, match="the rows have 'messages'"):
        choose_columns({"messages": []}, None, None)


def _write(folder, name, task, splits):
    paths = {split: [folder / f"{split}.jsonl"] for split in splits}
    text = render_own_task(task, local_dataset(paths), splits)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    for split, rows in (("train", tiny.rows(40)), ("test", tiny.rows(8, start=100))):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def _task(answers, **changes):
    pattern = changes.pop("pattern", None)
    return OwnTask(
        **{
            "name": "mine", "columns": ("question", "answer"), "num_fewshot": 0,
            "pattern": find_pattern(answers, pattern=pattern),
            "text": "Question: {{prompt}}\nAnswer:", **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize("pattern", [None, r"####\s*(-?[0-9.,]+)"])
@pytest.mark.parametrize("num_fewshot", [0, 2])
def test_a_written_task_asks_and_scores_as_the_task_of_the_recipe(
    ask, taught_model, folder, pattern, num_fewshot, monkeypatch
):
    from bakeoff.worker import lm_task

    usual = lm_task.TaskManager
    monkeypatch.setattr(
        lm_task, "TaskManager", lambda include_path, include_defaults: usual(
            include_path=include_path, include_defaults=False
        )
    )  # fmt: skip
    answers = [row["answer"] for row in tiny.rows(8, start=100)]
    _write(folder, "mine", _task(answers, pattern=pattern), ("train", "test"))
    theirs = ask(taught_model, num_fewshot=num_fewshot)
    ours = ask(taught_model, task="mine", include_path=str(folder), num_fewshot=num_fewshot)
    assert [(s.prompt, s.output) for s in ours.samples] == [
        (s.prompt, s.output) for s in theirs.samples
    ]
    assert [s.correct for s in ours.samples] == [s.correct for s in theirs.samples]
    assert ours.result.scores[0].num_fewshot == num_fewshot


def test_what_cannot_be_asked_is_refused_with_the_way_out(tmp_path):
    task = _task(["4"])
    with pytest.raises(UserError, match="the dataset has only train"):
        render_own_task(task, {}, ("train",))
    with pytest.raises(UserError, match="every split is scored"):
        render_own_task(_task(["4"], num_fewshot=3), {}, ("test",))
    with pytest.raises(UserError, match="files of one kind"):
        local_dataset({"train": [tmp_path / "a.txt"]})
