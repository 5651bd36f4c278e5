"""Answers by what became of them, by their words, a page at a time."""

import pytest
from tests.compare.factory import StudyOnDisk, make_eval, make_samples

from bakeoff.dashboard.answers import AnswersAsked, find_answers

OURS = [True, True, False, False, True, False]
THEIRS = [True, False, True, False, False, False]


@pytest.fixture
def study(tmp_path):
    made = StudyOnDisk(tmp_path)
    for name, right in (("ours", OURS), ("theirs", THEIRS)):
        samples = make_samples(right)
        made.add(make_eval(name, samples), samples)
    return made


def _numbers(study, **asked):
    ours, theirs = study.records
    found = find_answers(study.runs_dir, ours, theirs, AnswersAsked(**asked))
    return [answer.sample.index for answer in found.shown]


def test_answers_are_told_apart_by_what_became_of_them(study):
    assert _numbers(study) == [0, 1, 2, 3, 4, 5]
    assert _numbers(study, which="right") == [0, 1, 4]
    assert _numbers(study, which="wrong") == [2, 3, 5]
    assert _numbers(study, which="gained") == [1, 4]
    assert _numbers(study, which="lost") == [2]
    assert _numbers(study, which="changed") == [1, 2, 4]


def test_both_answers_stand_side_by_side(study):
    ours, theirs = study.records
    found = find_answers(study.runs_dir, ours, theirs, AnswersAsked(which="lost"))
    (answer,) = found.shown
    assert (answer.is_right, answer.other_is_right) == (False, True)
    assert answer.sample.item_digest == answer.other.item_digest
    assert answer.sample.output != answer.other.output
    assert found.counts == {"": 6, "right": 3, "wrong": 3, "gained": 2, "lost": 1, "changed": 3,
                            "cut": 1}  # fmt: skip


def test_words_are_found_in_either_answer_and_across_quotes(tmp_path):
    made = StudyOnDisk(tmp_path)
    texts = ['she said "Forty-Two"\nthen', "小明有三个苹果", "nothing"]
    samples = [
        sample.model_copy(update={"output": text})
        for sample, text in zip(make_samples([True] * 3), texts, strict=True)
    ]
    record = made.add(make_eval("e", samples), samples)

    def found(words):
        asked = AnswersAsked(words=words)
        return [a.sample.index for a in find_answers(tmp_path, record, None, asked).shown]

    assert found("forty-two") == [0]
    assert found('"forty') == [0]
    assert found("苹果") == [1]
    assert found("said then") == [0]
    assert found("absent") == []


def test_a_page_of_many(tmp_path):
    made = StudyOnDisk(tmp_path)
    samples = make_samples([i % 3 == 0 for i in range(100)])
    record = made.add(make_eval("e", samples), samples)
    found = find_answers(tmp_path, record, None, AnswersAsked(which="right", page=2, size=20))
    assert (found.total, found.num_pages, len(found.shown)) == (34, 2, 14)


def test_answers_that_were_deleted_are_missed(study):
    (study.runs_dir / "ours" / "samples.jsonl").unlink()
    with pytest.raises(FileNotFoundError):
        find_answers(study.runs_dir, study.records[0], None, AnswersAsked())
