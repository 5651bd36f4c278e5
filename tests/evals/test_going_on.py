"""An evaluation that was killed goes on from the answers that it had."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from tests import tiny
from tests.evals.conftest import canonical, make_plan, read_outcome, start

from bakeoff.interfaces import Inputs
from bakeoff.worker.lm_journal import Journal

NUM_QUESTIONS = 400


@pytest.fixture
def many_rows(tmp_path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "train.jsonl").write_text(canonical(tiny.rows(4)), encoding="utf-8")
    rows = tiny.rows(NUM_QUESTIONS, start=100)
    (folder / "test.jsonl").write_text(canonical(rows), encoding="utf-8")
    return folder


def _journal_lines(run_dir):
    path = run_dir / "answers.jsonl"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
@pytest.mark.parametrize("engine", [pytest.param("hf", marks=pytest.mark.slow), "builtin"])
def test_a_killed_evaluation_goes_on_from_the_answers_that_are_done(
    ask, engine, tiny_model, many_rows, tmp_path
):
    inputs = Inputs(python=Path(sys.executable), model_dir=tiny_model, data_dir=many_rows)
    plan = make_plan(engine=engine, batch_size=2, max_new_tokens=8)
    killed_dir = tmp_path / "killed"
    killed_dir.mkdir()
    child = start(killed_dir, plan, inputs)
    while len(_journal_lines(killed_dir)) < 20 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    num_kept = len(_journal_lines(killed_dir)) - 1
    assert 19 <= num_kept < NUM_QUESTIONS, "it was to be killed in the middle"
    assert not (killed_dir / "result.json").exists()
    with (killed_dir / "answers.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"key": "half of a li')
    assert start(killed_dir, plan, inputs).wait() == 0
    went_on = read_outcome(killed_dir)
    whole = ask(data_dir=many_rows, engine=engine, batch_size=2, max_new_tokens=8)
    log = (killed_dir / "log.txt").read_text(encoding="utf-8")
    assert f"going on: {num_kept} of {NUM_QUESTIONS} questions were done before" in log
    starts = [e.done for e in went_on.events if e.kind == "progress" and e.total == NUM_QUESTIONS]
    assert num_kept in starts
    assert went_on.result.scores == whole.result.scores
    for ours, theirs in zip(went_on.samples, whole.samples, strict=True):
        assert ours.model_dump(exclude={"seconds"}) == theirs.model_dump(exclude={"seconds"})
    assert not (killed_dir / "answers.jsonl").exists()


def test_choices_that_are_scored_are_not_scored_again(ask, monkeypatch, tmp_path):
    from bakeoff.worker import lm_batches

    row = {"q": "?", "choices": ["two", "four"], "gold": 1}
    text = "".join(json.dumps({**row, "q": f"{n}?"}) + "\n" for n in range(6))
    (tmp_path / "test.jsonl").write_text(text, encoding="utf-8")
    task = {
        "task": "choose", "dataset_path": "json", "test_split": "test",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "test.jsonl")}},
        "output_type": "multiple_choice", "doc_to_text": "{{q}}", "doc_to_target": "gold",
        "doc_to_choice": "choices",
    }  # fmt: skip
    own = tmp_path / "own"
    own.mkdir()
    (own / "choose.yaml").write_text(json.dumps(task), encoding="utf-8")
    usual, asked = lm_batches.HFLM.loglikelihood, []

    def die_in_the_second_batch(self, requests, **options):
        if len(asked) == 1 and not survives:
            raise RuntimeError("killed")
        asked.append(len(requests))
        return usual(self, requests, **options)

    monkeypatch.setattr(lm_batches.HFLM, "loglikelihood", die_in_the_second_batch)
    monkeypatch.setattr(lm_batches, "_CHOICE_BATCHES_PER_REPORT", 2)
    survives = False
    chosen = {"task": "choose", "include_path": str(own), "batch_size": 4}
    with pytest.raises(RuntimeError, match="killed"):
        ask(**chosen)
    survives = True
    from bakeoff.worker import evaluate

    evaluate.main(json.loads(Path("job.json").read_text(encoding="utf-8")))
    assert asked == [8, 4]
    assert len(read_outcome(Path.cwd()).samples) == 6


def test_a_journal_of_other_terms_is_begun_anew(tmp_path):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, {"torch": "1"})
    journal.add("a", ["text", {}])
    journal.close()
    again = Journal(path, {"torch": "1"})
    assert again.find("a") == ["text", {}]
    again.close()
    other = Journal(path, {"torch": "2"})
    assert other.find("a") is None
    other.close()
