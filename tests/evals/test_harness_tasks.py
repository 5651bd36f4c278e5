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


def _question(text, right):
    return {"question": text, "choices": ["1", "2", "3", "4"], "answer": right, "subject": "s"}


def test_a_group_is_scored_as_a_whole_and_task_by_task(ask, one_index, monkeypatch):
    rows = [_question("1 + 1?", 1), _question("1 + 2?", 2)]
    _pretend_hub(
        monkeypatch, {"dev": [_question(f"{n} + 1?", 0) for n in range(5, 10)], "test": rows}
    )
    outcome = ask(task="mmlu", num_fewshot=2, limit=1, engine="builtin")
    whole, *parts = outcome.result.scores
    assert (whole.task, whole.group, whole.num_samples) == ("mmlu", None, 57)
    assert {part.group for part in parts} == {"mmlu"}
    subjects = [part for part in parts if part.num_samples == 1]
    assert len(subjects) == 57
    assert whole.value == pytest.approx(sum(part.value for part in subjects) / 57)
    stem = next(part for part in parts if part.task == "mmlu_stem")
    assert 1 < stem.num_samples < 57
    assert len({sample.task for sample in outcome.samples}) == len(outcome.samples) == 57
    first = outcome.samples[0]
    assert first.target == "B"
    assert first.extracted["none"] in {"A", "B", "C", "D"}
    assert [line.split()[1] for line in first.output.splitlines()] == ["A", "B", "C", "D"]


def test_a_name_that_no_task_has_is_answered_with_the_nearest(ask, one_index):
    with pytest.raises(JobError, match=r"no task `gsm8kk`\. Did you mean `gsm8k`\?"):
        ask(task="gsm8kk")


def test_a_task_of_the_harness_reads_local_rows_and_its_file_works_by_hand(
    ask, taught_model, one_index, tmp_path, monkeypatch
):
    from bakeoff.worker.lm_task import load_tasks

    folder = tmp_path / "行 [1]"
    folder.mkdir()
    for split, rows in (("train", tiny.rows(40)), ("test", tiny.rows(8, start=100))):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    ours = ask(taught_model, num_fewshot=1)
    local = ask(taught_model, task="gsm8k", num_fewshot=1, task_data=str(folder))
    assert [(s.prompt, s.output) for s in local.samples] == [
        (s.prompt, s.output) for s in ours.samples
    ]
    assert {score.task for score in local.result.scores} == {"gsm8k"}
    # The file that lies in the run's folder is all that `lm_eval --include_path` needs.
    monkeypatch.chdir(tmp_path)
    by_hand = load_tasks("gsm8k", task_dir=local.run_dir / "task").tasks["gsm8k"]
    assert [doc["question"] for doc in by_hand.eval_docs] == [
        row["question"] for row in tiny.rows(8, start=100)
    ]
    with pytest.raises(JobError, match="expected to hold `train` and `test`"):
        ask(task="gsm8k", task_data=str(tmp_path / "nothing"))
    with pytest.raises(JobError, match="only a single one takes local rows"):
        ask(task="mmlu", task_data=str(folder))


def test_a_task_file_of_ones_own_is_found_by_its_name(ask, taught_model, rows_dir, tmp_path):
    import yaml

    config = yaml.safe_load(_harness_yaml())
    del config["dataset_name"]
    files = {"train": str(rows_dir / "train.jsonl"), "test": str(rows_dir / "test.jsonl")}
    files = {split: name.replace("[", "[[]") for split, name in files.items()}
    config |= {"task": "mine", "dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    outcome = ask(taught_model, task="mine", include_path=str(own))
    assert outcome.score("strict-match") == 6 / 8


def test_a_hub_out_of_reach_is_one_sentence_with_the_way_out(ask, one_index, monkeypatch):
    import datasets

    def fail(*_, **__):
        raise ConnectionError("Couldn't reach 'openai/gsm8k' on the Hub (offline)\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(JobError, match=r"rows of `gsm8k` cannot be had: Couldn't reach.*--data"):
        ask(task="gsm8k")


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
