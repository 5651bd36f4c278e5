"""The shipped recipes, run for real: the embedded model, the real harness, real GSM8K rows."""

import itertools
import json
import os
from pathlib import Path

import pytest
from tests.backends.environments import interpreter
from tests.command import bakeoff

from bakeoff.cli.recipe_commands import preset_folder

PROJECT = Path(__file__).resolve().parents[2]
GSM8K = Path(os.environ.get("BAKEOFF_GSM8K_DIR", PROJECT.parent / "shared" / "data" / "gsm8k"))


PRESETS = sorted(path.stem for path in preset_folder().glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_shipped_recipe_is_a_preset_that_plans(tmp_path, preset):
    assert preset in bakeoff(tmp_path, "init", "--list").stdout
    bakeoff(tmp_path, "init", preset, "-o", "mine.yaml")
    # The folders of a rented machine are not here.
    shown = bakeoff(tmp_path, "plan", "mine.yaml", "--set", "places=null")
    assert "steps to do" in shown.stdout


def test_the_example_for_a_gpu_spans_trainers_methods_and_numbers_of_examples(tmp_path):
    shown = bakeoff(tmp_path, "plan", preset_folder() / "gsm8k-qwen.yaml").stdout
    for backend in ("builtin", "llamafactory", "swift"):
        for method in ("lora", "full"):
            assert f"train {method} {backend}" in shown
            for shots in (0, 1, 5):
                assert f"evaluate {method} {backend}, gsm8k, {shots}-shot" in shown


def _records(folder):
    return json.loads(bakeoff(folder, "results", "--json").stdout)


def _strict(record):
    return next(s["value"] for s in record["scores"] if s["filter"] == "strict-match")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_quickstart_ends_with_models_that_are_significantly_better(tmp_path):
    """With half of its rows, which already do it."""
    recipe = preset_folder() / "quickstart.yaml"
    less = ("data.num_train=320", "data.num_test=96")
    fewer = [part for text in less for part in ("--set", text)]
    first = bakeoff(tmp_path, "run", recipe, *fewer, timeout_seconds=2400)
    base, lora_training, lora, full_training, full = _records(tmp_path)
    assert (lora["parent_run_id"], full["parent_run_id"]) == (
        lora_training["run_id"],
        full_training["run_id"],
    )
    assert _strict(base) < 0.05
    compared = json.loads(
        bakeoff(
            tmp_path, "compare", base["run_id"], lora["run_id"], full["run_id"], "--json"
        ).stdout
    )
    strict = [one for one in compared["compared"] if one["filter"] == "strict-match"]
    assert len(strict) == 2
    for one in strict:
        assert one["difference"]["difference"] > 0.1, one["verdict"]
        assert one["difference"]["interval"]["low"] > 0.05, one["verdict"]
        assert one["p_adjusted"] < 0.001, one["verdict"]
    for word in ("base model", "LoRA", "full fine-tuning", "report.html"):
        assert word in first.stdout

    again = bakeoff(tmp_path, "run", recipe, *fewer)
    assert "Nothing was run" in again.stderr
    report = bakeoff(tmp_path, "report", "quickstart", "-o", "elsewhere")
    assert "report.html" in report.stdout
    assert (tmp_path / "elsewhere" / "report.html").stat().st_size > 50_000


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_gsm8k_recipe_runs_on_local_rows_with_the_embedded_model(tmp_path):
    if not GSM8K.is_dir():
        pytest.skip("GSM8K's files are not here; BAKEOFF_GSM8K_DIR names their folder")
    for name, number in (("train", 80), ("test", 12)):
        with (GSM8K / f"{name}.jsonl").open(encoding="utf-8") as file:
            lines = list(itertools.islice(file, number))
        (tmp_path / "slice").mkdir(exist_ok=True)
        (tmp_path / "slice" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    bakeoff(
        tmp_path, "run", preset_folder() / "gsm8k.yaml",
        "--set", "name=slice", "--set", "model=builtin:smollm2-135m",
        "--set", "data.source=slice", "--set", "data.num_validation=8",
        "--set", "evaluate.tasks=data", "--set", "evaluate.num_fewshot=[0, 1]",
        "--set", "evaluate.max_new_tokens=48", "--set", "train.num_epochs=1",
        timeout_seconds=2400,
    )  # fmt: skip
    records = _records(tmp_path)
    assert [record["status"] for record in records] == ["finished"] * 8
    evaluations = [record for record in records if record["kind"] == "eval"]
    asked = {
        (score["num_fewshot"], score["num_samples"]) for e in evaluations for score in e["scores"]
    }
    assert asked == {(0, 12), (1, 12)}
    for training in (record for record in records if record["kind"] == "train"):
        losses = [point["loss"] for point in training["losses"] if point["split"] == "validation"]
        assert losses[-1] < losses[0]
        assert training["data"]["num_examples"] == 72
    samples = tmp_path / "runs" / evaluations[1]["run_id"] / "samples.jsonl"
    first = json.loads(samples.read_text(encoding="utf-8").splitlines()[0])
    train_questions = (tmp_path / "slice" / "train.jsonl").read_text(encoding="utf-8")
    example = first["prompt"].split("\n\n")[0].removeprefix("Question: ").split("\nAnswer:")[0]
    assert json.dumps(example) in train_questions


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_frameworks_example_trains_on_the_same_tokens_with_all_three(tmp_path):
    """With fewer rows than it ships with: what is learned is the quickstart's test.

    In fp32: a processor without bf16 takes twenty times as long for the frameworks' steps.
    """
    done = bakeoff(
        tmp_path, "run", preset_folder() / "compare-frameworks.yaml",
        *(f"--set=env.{name}={interpreter(name)}" for name in ("llamafactory", "swift")),
        "--set", "data.num_train=24", "--set", "data.num_validation=8",
        "--set", "data.num_test=8", "--set", "evaluate.max_new_tokens=24",
        "--set", "train.precision=fp32",
        timeout_seconds=1800,
    )  # fmt: skip
    trainings = [record for record in _records(tmp_path) if record["kind"] == "train"]
    assert [t["cell"]["backend"] for t in trainings] == ["builtin", "llamafactory", "swift"]
    assert {t["status"] for t in trainings} == {"finished"}
    assert len({t["effective"]["batch_digest"] for t in trainings}) == 1
    first = [t["losses"][0]["loss"] for t in trainings]
    assert first == pytest.approx([first[0]] * 3, rel=0.02)
    assert {len([p for p in t["losses"] if p["split"] == "train"]) for t in trainings} == {3}
    same = "All three trained on the same token ids and labels, in the same order."
    report = tmp_path / "runs" / "studies" / "compare-frameworks" / "report"
    for text in (
        " ".join(done.stdout.split()),
        (report / "report.md").read_text(encoding="utf-8"),
        (report / "report.html").read_text(encoding="utf-8"),
    ):
        assert "Frameworks side by side" in text
        assert same in text
        assert "ms-swift" in text
