"""Whole searches with a real trainer on a tiny model."""

import json
import signal
import subprocess
import time

import psutil
import pytest
from tests.command import bakeoff, command, environment

RECIPE = """
name: tiny
model: {model}
data: {{source: {data}, num_validation: 4}}
device: cpu
train: {{precision: fp32, batch_size: 4, learning_rate: 1e-3, save_every: 1, num_epochs: 2}}
lora: {{rank: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32}}
search:
  space:
    train.learning_rate: {{low: 1.0e-6, high: 1.0e-1, log: true}}
    lora.rank: [2, 4]
"""


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data):
    path = tmp_path / "search.yaml"
    text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
    path.write_text(text, encoding="utf-8")
    return path


def _search(tmp_path, recipe, *sets, **options):
    flags = [part for text in sets for part in ("--set", text)]
    done = bakeoff(tmp_path, "search", recipe, "--json", *flags, **options)
    return json.loads(done.stdout)


def _records(tmp_path, study="tiny-search"):
    return json.loads(bakeoff(tmp_path, "results", "--study", study, "--json").stdout)


def test_a_search_finds_what_an_ordinary_study_finished_and_is_found_again_itself(tmp_path, recipe):
    grid = ("search.method=grid", "search.space={lora.rank: [2]}", "search.confirm.top=0")
    first = _search(tmp_path, recipe, *grid)
    assert [trial["status"] for trial in first["trials"]] == ["finished"]
    assert first["ended_because"] == "the grid was tried as a whole"
    assert first["recommended"] == {"lora.rank": 2}
    assert "nothing was trained again" in first["sentence"]

    # Another search over the same setting: its trial is the run that is there.
    again = _search(tmp_path, recipe, *grid, "search.pruning=none")
    assert [trial["reused"] for trial in again["trials"]] == [True]
    assert again["spent"]["tokens"] == 0
    assert [record["run_id"] for record in _records(tmp_path)] == first["trials"][0]["run_ids"]
    report = tmp_path / "runs" / "studies" / "tiny-search" / "report"
    assert "All trials" in (report / "report.md").read_text(encoding="utf-8")
    bakeoff(tmp_path, "report", "tiny-search", "-o", "again")
    assert "All trials" in (tmp_path / "again" / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_killed_search_goes_on_ends_what_falls_behind_and_confirms(tmp_path, recipe):
    # Long enough that a training can be ended while it goes on.
    long = ["--set", "train.num_epochs=40", "--set", "train.save_every=20"]
    again = ["--set", "search.budget.runs=9", "--set", "search.confirm={top: 2, seeds: [1, 2]}"]
    sets = [*long, *again]
    process = subprocess.Popen(
        command("search", recipe, *sets), cwd=tmp_path, env=environment(tmp_path)
    )
    try:
        deadline = time.monotonic() + 240
        while len(list(tmp_path.glob("runs/train-*/record.json"))) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
        _wait_for_a_running_trial(tmp_path, deadline)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {path: path.read_text("utf-8") for path in tmp_path.glob("runs/*/record.json")}

    done = bakeoff(tmp_path, "search", recipe, *sets)
    assert "that were interrupted are tried again" in done.stderr
    result = json.loads((tmp_path / "runs/studies/tiny-search/search.json").read_text("utf-8"))
    assert len(result["trials"]) == 9
    assert result["spent"]["runs"] == 9
    assert all(path.read_text("utf-8") == text for path, text in before.items())
    pruned = [trial for trial in result["trials"] if trial["status"] == "pruned"]
    assert pruned
    assert result["saving"]["steps_left_out"] > 0
    records = {record["run_id"]: record for record in _records(tmp_path)}
    for trial in pruned:
        record = records[trial["run_ids"][0]]
        assert record["status"] == "cancelled"
        assert record["error"].startswith("pruned at ")
    assert [len(each["scores"]) for each in result["candidates"]] == [2, 2]
    assert {each["standing"] for each in result["candidates"]} <= {
        "best",
        "not told apart",
        "worse",
    }
    pictures = {path.stem for path in tmp_path.glob("runs/studies/*/report/figures/*.png")}
    assert {"history", "slice-0", "slice-1"} <= pictures
    # Once more: nothing is left to do.
    idle = bakeoff(tmp_path, "search", recipe, *sets)
    assert "9 trials were done before" in idle.stderr
    assert "9/9  trial" not in idle.stderr


def _wait_for_a_running_trial(tmp_path, deadline):
    """Until a further training has done a step."""
    while True:
        assert time.monotonic() < deadline
        for events in tmp_path.glob("runs/train-*/events.jsonl"):
            is_open = not (events.parent / "record.json").exists()
            if is_open and '"step"' in events.read_text("utf-8"):
                return
        time.sleep(0.05)


@pytest.mark.slow
def test_several_objectives_and_workers_give_a_front_by_validation_rows(tmp_path, recipe):
    result = _search(
        tmp_path,
        recipe,
        "search.objective=[exact_match, peak_memory]",
        "search.budget.runs=4",
        "search.workers=2",
        "train.num_epochs=1",
    )
    assert len(result["trials"]) == 4
    assert result["front"]
    assert result["candidates"] == []
    evaluations = [record for record in _records(tmp_path) if record["kind"] == "eval"]
    assert {record["data"]["num_examples"] for record in evaluations} == {4}  # validation, not 6
    assert not [p for p in psutil.Process().children(recursive=True) if "worker" in str(p)]


@pytest.mark.slow
def test_a_transfer_is_run_extended_and_found_again(tmp_path, recipe):
    flags = [
        "--set", "method=[lora,full]", "--set", "seed=[0,1]", "--set", "transfer.score_seeds=[7]",
        "--set", "train.learning_rate.lora=[1e-3,4e-3,1.6e-2,6.4e-2]",
        "--set", "train.learning_rate.full=[1e-4,4e-4,1.6e-3,6.4e-3]",
        "--set", "transfer.max_extensions=1", "--set", "train.num_epochs=1",
    ]  # fmt: skip
    done = bakeoff(tmp_path, "transfer", recipe, "--extend", "--json", *flags, expect=1)
    result = json.loads(done.stdout)
    assert result["same_batches"] is True
    assert "full fine-tuning: 0.0256" in result["extended"]
    assert "is tried as well" in done.stderr
    assert [len(curve["points"]) for curve in result["curves"]][1] == 5
    before = sorted(tmp_path.glob("runs/train-*"))
    again = bakeoff(tmp_path, "transfer", recipe, "--extend", "--json", *flags, expect=1)
    assert json.loads(again.stdout)["sentence"] == result["sentence"]
    assert sorted(tmp_path.glob("runs/train-*")) == before
