"""`bakeoff fit`, `bakeoff bench fit`, and what a run does with a prediction."""

import csv
import json

import pytest
from tests import tiny
from tests.command import bakeoff

ADVICE_KEYS = {"settings", "text", "needed_bytes", "time_factor", "keeps_result"}

RECIPE = """
name: fits
model: Qwen/Qwen2.5-1.5B
data: {source: openai/gsm8k, subset: main}
backend: builtin
method: [lora, full]
train: {batch_size: 4, max_length: 1024, gradient_checkpointing: true}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "fits.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _json(tmp_path, *arguments):
    return json.loads(bakeoff(tmp_path, *arguments, "--json").stdout)


def test_a_hub_model_is_judged_without_a_network(tmp_path, recipe):
    found = _json(tmp_path, "fit", recipe, "--gpu", "rtx4060-8gb")
    lora, full = found["runs"]
    assert (lora["fits"], full["fits"]) == (True, False)
    assert lora["prediction"]["source"] == "analytic"
    assert {part["name"] for part in full["prediction"]["parts"]} >= {"weights", "optimizer"}
    assert full["changes"]
    assert set(full["changes"][0]) == ADVICE_KEYS
    assert full["changes"][-1]["needed_bytes"] <= found["limit_bytes"]
    assert full["prediction"]["seconds"] > 60


def test_any_size_of_memory_can_be_named_and_claims_are_judged(tmp_path, recipe):
    found = _json(tmp_path, "fit", recipe, "--memory", "24GB", "--claim", "8.7GB")
    assert found["limit_bytes"] == 24 * 10**9
    assert [run["claim"]["is_possible"] for run in found["runs"]] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "hint"), [(("--gpu", "voodoo2"), "--list-gpus"), (("--memory", "much"), "8GB")]
)
def test_a_wrong_device_is_told_with_what_to_write(tmp_path, recipe, arguments, hint):
    assert hint in bakeoff(tmp_path, "fit", recipe, *arguments, expect=2).stderr


def test_published_figures_are_scored_from_a_table(tmp_path):
    table = tmp_path / "figures.csv"
    row = {
        "source": "notes", "model": "Qwen2.5-7B", "method": "lora", "rank": "8",
        "precision": "bf16", "batch": "1", "seq": "512", "grad_ckpt": "yes", "strategy": "single",
        "gpus": "1", "peak_gb": "18", "notes": "", "counter": "max_memory_reserved", "grade": "B",
    }  # fmt: skip
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    found = _json(tmp_path, "bench", "fit", "--backends", "", "--published", table)
    assert found["bench"] == "fit"
    case = found["cases"][0]
    assert set(case) >= {"case", "predicted_bytes", "measured_bytes", "source", "relative_error"}
    assert set(found["sources"][0]) >= {"median_error", "worst_error", "share_under"}


@pytest.fixture
def tiny_recipe(tmp_path):
    tiny.make_tiny_model(tmp_path / "model")
    data = tmp_path / "data"
    data.mkdir()
    for split, rows in (("train", tiny.rows(12)), ("test", tiny.rows(2, start=50))):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (data / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "name: tiny\nmodel: {source: model}\ndata: {source: data, num_validation: 2}\n"
        "device: cpu\ntrain: {max_steps: 1, batch_size: 2, precision: fp32, save_every: 0}\n"
        "evaluate: {base: false, limit: 1}\n",
        encoding="utf-8",
    )
    return path


def test_a_plan_shows_what_is_predicted_of_a_training(tmp_path, tiny_recipe):
    plan = _json(tmp_path, "plan", tiny_recipe)
    training = next(step for step in plan["steps"] if step["kind"] == "train")
    assert training["is_prediction"]
    assert training["prediction"]["source"] == "analytic"
    assert training["peak_host_bytes"] == training["prediction"]["host_bytes"]


def test_a_training_that_cannot_fit_is_refused_before_it_starts(tmp_path, tiny_recipe):
    """The files say 70 billion parameters; nobody looks into them before the refusal."""
    path = tmp_path / "model" / "config.json"
    large = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
    config = {**json.loads(path.read_text(encoding="utf-8")), **large, "vocab_size": 128256}
    path.write_text(json.dumps(config), encoding="utf-8")
    done = bakeoff(tmp_path, "run", tiny_recipe, expect=1)
    assert "cannot fit in memory" in done.stderr
    assert "--force" in done.stderr
    assert not list((tmp_path / "runs").glob("train-*/log.txt"))
