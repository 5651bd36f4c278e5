"""Our task file against the harness's own `gsm8k`, and the harness's tasks by name."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiny
from tests.evals.conftest import make_plan, read_outcome, write_job

from bakeoff.interfaces import Inputs
from bakeoff.worker.failures import JobError


@functools.cache
def _manager(include_path: Path | None, *, include_defaults: bool):
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path, include_defaults=include_defaults)


@pytest.fixture
def one_index(monkeypatch):
    """Let the harness read its thousands of task files once for all tests."""
    monkeypatch.setattr("bakeoff.worker.lm_task.TaskManager", _manager)


def _harness_yaml() -> str:
    import lm_eval

    file = Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    return file.read_text(encoding="utf-8")


def _samples_by_harness_alone(model_dir: Path, rows_dir: Path, folder: Path, num_fewshot: int):
    """The harness's gsm8k over local files, asked by the harness's own class for transformers."""
    import lm_eval
    import yaml
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    config = yaml.safe_load(_harness_yaml())
    del config["dataset_name"]
    files = {
        split: str(rows_dir / f"{split}.jsonl").replace("[", "[[]") for split in ("train", "test")
    }
    config |= {
        "task": "gsm8k_here",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
    }
    (folder / "gsm8k_here.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model_dir), dtype="float32", device="cpu", batch_size=4),
        tasks=["gsm8k_here"],
        task_manager=TaskManager(include_path=folder, include_defaults=False),
        num_fewshot=num_fewshot,
        fewshot_random_seed=1234,
        gen_kwargs={"max_gen_toks": 32},
    )
    return results["samples"]["gsm8k_here"], results["results"]["gsm8k_here"]


@pytest.mark.parametrize("num_fewshot", [0, 2])
def test_the_task_file_scores_as_the_harness_own_gsm8k(
    ask, taught_model, tiny_model, rows_dir, tmp_path, num_fewshot
):

    whole = shutil.copytree(tiny_model, tmp_path / "whole")
    shutil.copytree(taught_model, whole, dirs_exist_ok=True)
    theirs, results = _samples_by_harness_alone(whole, rows_dir, tmp_path, num_fewshot)
    ours = ask(taught_model, num_fewshot=num_fewshot)
    assert len(theirs) == 2 * len(ours.samples) == 16
    for sample in theirs:
        mine = ours.samples[sample["doc_id"]]
        name = sample["filter"]
        assert mine.prompt == sample["arguments"][0][0]
        assert mine.output == sample["resps"][0][0]
        assert (mine.extracted[name] or "[invalid]") == sample["filtered_resps"][0]
        assert mine.correct[f"exact_match,{name}"] == sample["exact_match"]
    for score in ours.result.scores:
        assert score.value == results[f"exact_match,{score.filter}"]
        assert score.stderr == results[f"exact_match_stderr,{score.filter}"]
    if num_fewshot == 0:
        assert ours.score("strict-match") == 6 / 8


def _pretend_hub(monkeypatch, splits) -> list[tuple]:
    """Let `datasets` give these rows for whatever it is asked; tells what it was asked for."""
    import datasets

    asked = []

    def load_dataset(path, name=None, **settings):
        asked.append((path, name))
        return datasets.DatasetDict(
            {split: datasets.Dataset.from_list(rows) for split, rows in splits.items()}
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_gsm8k_by_name_is_the_harness_own_task_over_the_hub_data(
    ask, taught_model, one_index, monkeypatch
):
    ours = ask(taught_model, num_fewshot=1)
    hub = {"train": tiny.rows(40), "test": tiny.rows(8, start=100)}
    asked = _pretend_hub(monkeypatch, hub)
    theirs = ask(taught_model, task="gsm8k", num_fewshot=1)
    assert asked == [("openai/gsm8k", "main")]
    assert {score.task for score in theirs.result.scores} == {"gsm8k"}
    assert {score.num_fewshot for score in theirs.result.scores} == {1}
    assert theirs.result.effective["task_version"] == 3.0
    assert theirs.result.effective["task_config"]["generation_kwargs"]["max_gen_toks"] == 32
    assert [(sample.prompt, sample.output) for sample in theirs.samples] == [
        (sample.prompt, sample.output) for sample in ours.samples
    ]


def test_a_task_of_choices_is_scored_too(ask, one_index, monkeypatch):
    row = {
        "id": "1",
        "question": "How many legs has a cat?",
        "choices": {"text": ["two", "four"], "label": ["A", "B"]},
        "answerKey": "B",
    }
    rows = [row, {**row, "answerKey": "A"}]
    _pretend_hub(monkeypatch, {"train": rows, "validation": rows, "test": rows})
    outcome = ask(task="arc_easy")
    # One of two like questions with opposite keys is right, whatever the model prefers.
    assert {score.metric: score.value for score in outcome.result.scores}["acc"] == 0.5
    assert [sample.num_output_tokens for sample in outcome.samples] == [None, None]
    assert outcome.result.num_generated_tokens is None
    assert outcome.result.effective["share_at_token_limit"] is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8kk", "no task `gsm8kk`. Did you mean `gsm8k`?"),
        ("mmlu", "`mmlu` names several tasks"),
    ],
)
def test_what_is_not_one_task_is_refused_by_name(ask, one_index, name, message):
    with pytest.raises(JobError, match=message.replace("?", r"\?")):
        ask(task=name)


def test_the_worker_process_evaluates_offline_and_leaves_nothing_behind(
    tiny_model, taught_model, rows_dir, tmp_path
):

    run_dir, home = tmp_path / "评测 run", tmp_path / "home"
    run_dir.mkdir()
    home.mkdir()
    inputs = Inputs(
        python=Path(sys.executable),
        model_dir=tiny_model,
        data_dir=rows_dir,
        artefact_dir=taught_model,
    )
    launch = write_job(run_dir, make_plan(num_fewshot=1), inputs)
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    homes = {"HOME": str(home), "USERPROFILE": str(home)}
    done = subprocess.run(
        launch.argv,
        cwd=run_dir,
        env={**kept, **homes, **launch.env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = read_outcome(run_dir)
    assert len(outcome.samples) == 8
    assert [event.phase for event in outcome.events if event.kind == "phase"] == [
        "import",
        "load_data",
        "load_model",
        "evaluate",
        "save",
    ]
    assert outcome.events[-1].status == "finished"
    assert sorted(path.name for path in run_dir.iterdir()) == [
        "environment.json",
        "events.jsonl",
        "job.json",
        "memory-rank0.json",
        "result.json",
        "samples.jsonl",
        "task",
    ]
    assert not [path for path in home.rglob("*") if path.suffix in (".arrow", ".jsonl")]


@pytest.mark.slow
def test_the_task_file_gives_equal_scores_by_hand(
    ask, taught_model, tiny_model, rows_dir, tmp_path
):

    whole = shutil.copytree(tiny_model, tmp_path / "whole")
    shutil.copytree(taught_model, whole, dirs_exist_ok=True)
    ours = ask(taught_model, num_fewshot=1)
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--device", "cpu"]
    command += ["--model_args", f"pretrained={whole},dtype=float32", "--batch_size", "4"]
    command += ["--tasks", "bakeoff_data", "--include_path", str(ours.run_dir / "task")]
    command += ["--output_path", str(tmp_path / "by hand")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    subprocess.run(command, env={**os.environ, **offline}, check=True, capture_output=True)
    (file,) = (tmp_path / "by hand").rglob("results_*.json")
    theirs = json.loads(file.read_text(encoding="utf-8"))["results"]["bakeoff_data"]
    for score in ours.result.scores:
        assert score.value == theirs[f"exact_match,{score.filter}"]
        assert score.stderr == theirs[f"exact_match_stderr,{score.filter}"]
