"""Several processes answer the questions of one evaluation as one would."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from tests import tiny
from tests.evals.conftest import canonical, make_plan, read_outcome, start

from bakeoff.evals.hf import HfEngine
from bakeoff.interfaces import Inputs
from bakeoff.worker.lm_sharing import Sharing

CHOICES = """\
task: choices
dataset_path: json
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
metric_list:
  - metric: acc
"""


def _start(run_dir, inputs, **changes):
    run_dir.mkdir(exist_ok=True)
    return start(run_dir, make_plan(**changes), inputs)


def _without_times(samples):
    return [sample.model_dump(exclude={"seconds"}) for sample in samples]


@pytest.fixture
def inputs(tiny_model, taught_model, tmp_path) -> Inputs:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "train.jsonl").write_text(canonical(tiny.rows(4)), encoding="utf-8")
    (folder / "test.jsonl").write_text(canonical(tiny.rows(61, start=100)), encoding="utf-8")
    return Inputs(
        python=Path(sys.executable),
        model_dir=tiny_model,
        data_dir=folder,
        artefact_dir=taught_model,
    )


@pytest.mark.parametrize("engine", [pytest.param("hf", marks=pytest.mark.slow), "builtin"])
def test_two_processes_give_the_answers_and_scores_of_one(engine, inputs, ask, tmp_path):
    run_dir = tmp_path / "shared"
    told = {"engine": engine, "max_new_tokens": 12}
    assert _start(run_dir, inputs, **told, world_size=2).wait() == 0
    shared = read_outcome(run_dir)
    alone = ask(inputs.artefact_dir, data_dir=inputs.data_dir, **told)
    assert shared.result.scores == alone.result.scores
    assert _without_times(shared.samples) == _without_times(alone.samples)
    assert shared.result.effective["num_processes"] == 2
    assert shared.result.num_generated_tokens == alone.result.num_generated_tokens
    progress = [event.done for event in shared.events if event.kind == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 61
    assert not list(run_dir.glob("answers*"))


@pytest.mark.slow
def test_choices_are_scored_alike_by_two_processes(inputs, ask, tmp_path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "choices.yaml").write_text(CHOICES, encoding="utf-8")
    rows = [{"q": f"{n} is", "choices": ["odd", "even", "big"], "gold": n % 2} for n in range(9)]
    own = tmp_path / "own"
    own.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (own / "test.jsonl").write_text(text, encoding="utf-8")
    told = {
        "engine": "builtin",
        "task": "choices",
        "data_id": None,
        "include_path": str(tasks),
        "task_data": str(own),
    }
    run_dir = tmp_path / "shared"
    assert _start(run_dir, inputs, **told, world_size=2).wait() == 0
    alone = ask(inputs.artefact_dir, data_dir=inputs.data_dir, **told)
    assert read_outcome(run_dir).result.scores == alone.result.scores


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_one_process_goes_on_where_two_were_killed(inputs, ask, tmp_path):
    run_dir = tmp_path / "killed"
    told = {"engine": "builtin", "batch_size": 1, "max_new_tokens": 12}
    child = _start(run_dir, inputs, **told, world_size=2)
    journals = [run_dir / "answers.jsonl", run_dir / "answers-rank1.jsonl"]
    while child.poll() is None and not all(map(_has_answers, journals)):
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    child.wait()
    assert not (run_dir / "result.json").exists(), "it was to be stopped in the middle"
    kept = sum(len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in journals)
    assert _start(run_dir, inputs, **told).wait() == 0
    went_on = read_outcome(run_dir)
    log = (run_dir / "log.txt").read_text(encoding="utf-8")
    assert f"going on: {kept} of 61 questions were done before" in log
    alone = ask(inputs.artefact_dir, data_dir=inputs.data_dir, **told)
    assert _without_times(went_on.samples) == _without_times(alone.samples)
    assert not list(run_dir.glob("answers*"))


def _has_answers(journal):
    return journal.is_file() and len(journal.read_text(encoding="utf-8").splitlines()) > 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_a_process_that_dies_ends_the_evaluation_with_its_reason(inputs, tmp_path):
    run_dir = tmp_path / "died"
    child = _start(run_dir, inputs, engine="builtin", batch_size=1, world_size=2)
    while not _has_answers(run_dir / "answers-rank1.jsonl") and child.poll() is None:
        time.sleep(0.01)
    os.kill(_process_of_rank(child.pid, 1), signal.SIGKILL)
    assert child.wait() == 3
    last = list(HfEngine().read_events(run_dir))[-1]
    assert last.status == "out_of_memory"
    assert "Process 1 was killed from outside" in last.error
    assert "evaluate.world_size" in last.error


def _process_of_rank(parent: int, rank: int) -> int:
    import psutil

    for child in psutil.Process(parent).children(recursive=True):
        if child.environ().get("RANK") == str(rank):
            return child.pid
    raise LookupError(rank)


class _Group:
    def __init__(self, rank: int, num_processes: int) -> None:
        self.rank, self.num_processes = rank, num_processes


def test_questions_are_dealt_out_by_length_and_those_of_one_item_stay_together():
    lengths = {0: 9, 1: 9, 2: 5, 3: 7, 4: 7, 5: 1}
    items = {0: "a", 1: "a", 2: "b", 3: "c", 4: "c", 5: "d"}
    parts = [
        Sharing(_Group(rank, 2)).own_part(list(lengths), lambda n: (lengths[n], items[n]))
        for rank in range(2)
    ]
    assert parts == [[0, 1, 2], [3, 4, 5]]
