"""Whole studies on a tiny model: reuse, kill, failure, two at once. Real trainer, real harness."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests.command import bakeoff, command, environment

RECIPE = """
name: tiny
model: {model}
data: {{source: {data}, num_validation: 4}}
method: {method}
device: cpu
train: {{learning_rate: 1e-3, precision: fp32, batch_size: 4, save_every: 1, num_epochs: {epochs}}}
lora: {{rank: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32, limit: 4}}
"""


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data) -> Path:
    return _write_recipe(tmp_path, tiny_model, tiny_data)


def _write_recipe(folder, model, data, *, method="[lora, full]", epochs=1) -> Path:
    path = folder / "配方.yaml"
    text = RECIPE.format(
        model=json.dumps(str(model)), data=json.dumps(str(data)), method=method, epochs=epochs
    )
    path.write_text(text, encoding="utf-8")
    return path


def _records(tmp_path):
    done = bakeoff(tmp_path, "results", "--json")
    return json.loads(done.stdout)


def test_a_study_is_run_once_and_then_reused_as_a_whole(tmp_path, recipe):
    first = bakeoff(tmp_path, "run", recipe)
    records = _records(tmp_path)
    assert [(r["kind"], r["status"]) for r in records] == [
        ("eval", "finished"),
        ("train", "finished"),
        ("eval", "finished"),
        ("train", "finished"),
        ("eval", "finished"),
    ]
    assert "LoRA" in first.stdout
    assert (tmp_path / "runs" / "studies" / "tiny" / "report" / "report.html").is_file()

    second = bakeoff(tmp_path, "run", recipe)
    assert "Nothing was run" in second.stderr
    assert _records(tmp_path) == records
    assert second.stdout.splitlines()[:8] == first.stdout.splitlines()[:8]


def test_a_record_says_everything_that_the_contract_names(tmp_path, recipe):
    price = ("--set", "measure.price_per_hour=1.88", "--set", "measure.currency=CNY")
    bakeoff(tmp_path, "run", recipe, "--set", "method=lora", *price)
    base, training, tuned = _records(tmp_path)
    assert training["cell"] == {
        "backend": "builtin", "method": "lora", "strategy": "single", "world_size": 1, "seed": 0,
    }  # fmt: skip
    assert training["measurement"]["num_steps"] == len(
        [point for point in training["losses"] if point["split"] == "train"]
    )
    for name in (
        "wall_seconds",
        "setup_seconds",
        "train_seconds",
        "tokens_per_second",
        "peak_host_bytes",
        "step_seconds_median",
        "sampling_interval_seconds",
        "first_step_seconds",
        "num_steady_steps",
        "steady_tokens_per_second",
        "label_tokens_per_second",
        "samples_per_second",
        "model_flops",
        "matmul_flops_per_second",
        "mfu",
        "start_host_bytes",
        "loaded_host_bytes",
        "high_water_host_bytes",
        "sampler_cpu_share",
        "cost",
    ):
        assert training["measurement"][name] > 0, name
    for name in ("peak_device_allocated_bytes", "peak_device_process_bytes", "energy_joules"):
        assert training["measurement"][name] is None, name
    assert [cost["phase"] for cost in training["measurement"]["phases"]][:6] == [
        "start", "import", "load_data", "load_model", "validate", "first_step",
    ]  # fmt: skip
    assert training["measurement"]["currency"] == "CNY"
    (rank,) = training["measurement"]["peak_by_rank"]
    assert rank["host_bytes"] > rank["load_host_bytes"] * 0.5
    assert training["prediction"]["host_bytes"] > training["prediction"]["allocated_bytes"] > 0
    report = tmp_path / "runs" / "studies" / "tiny" / "report" / "report.md"
    assert "Predicted" in report.read_text(encoding="utf-8")
    assert training["data"]["num_label_tokens"] < training["data"]["num_train_tokens"]
    assert training["effective"]
    provenance = training["provenance"]
    assert provenance["packages"]["torch"]
    for name in ("model_digest", "data_digest", "template_digest", "hardware", "command_line",
                 "started_at", "ended_at", "bakeoff_version", "lock_digest"):  # fmt: skip
        assert provenance[name], name
    assert tuned["parent_run_id"] == training["run_id"]
    assert base["parent_run_id"] is None
    assert {score["filter"] for score in tuned["scores"]} == {"strict-match", "flexible-extract"}


def test_a_changed_seed_redoes_only_what_depends_on_it(tmp_path, recipe):
    bakeoff(tmp_path, "run", recipe, "--set", "method=lora")
    before = {record["run_id"] for record in _records(tmp_path)}
    plan = json.loads(
        bakeoff(
            tmp_path, "plan", recipe, "--set", "method=lora", "--set", "seed=1", "--json"
        ).stdout
    )
    assert [(step["kind"], step["done"]) for step in plan["steps"]] == [
        ("model", True),
        ("data", True),
        ("eval", True),
        ("train", False),
        ("eval", False),
    ]
    bakeoff(tmp_path, "run", recipe, "--set", "method=lora", "--set", "seed=1")
    assert len(_records(tmp_path)) == len(before) + 2


def test_a_training_that_fails_is_recorded_and_the_study_goes_on(tmp_path, tiny_model, tiny_data):
    recipe = _write_recipe(tmp_path, tiny_model, tiny_data)
    # No row fits into two tokens: this cell cannot be trained, the other one can.
    done = bakeoff(
        tmp_path, "run", recipe,
        "--set", "train.max_length={lora: 2, full: 512}", expect=1,
    )  # fmt: skip
    status = {(r["kind"], r["cell"].get("method")): r["status"] for r in _records(tmp_path)}
    assert status == {
        ("eval", None): "finished",
        ("train", "lora"): "failed",
        ("train", "full"): "finished",
        ("eval", "full"): "finished",
    }
    assert "skipped, its training did not finish" in done.stderr
    failed = next(record for record in _records(tmp_path) if record["status"] == "failed")
    assert "max_length" in failed["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("wait_for", ["step", "save"])
def test_a_killed_study_goes_on_from_the_last_checkpoint(tmp_path, tiny_model, tiny_data, wait_for):
    recipe = _write_recipe(tmp_path, tiny_model, tiny_data, method="full", epochs=6)
    process = subprocess.Popen(
        command("run", recipe), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run_dir = _wait_for_event(tmp_path / "runs", wait_for, number=12)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "the worker outlived bakeoff"
    assert not (run_dir / "record.json").exists()

    bakeoff(tmp_path, "run", recipe)
    training = next(record for record in _records(tmp_path) if record["kind"] == "train")
    resumed = [e["step"] for e in _events(run_dir) if e["kind"] == "resume"]
    assert len(resumed) == 1
    assert resumed[0] >= 10
    assert training["measurement"]["num_attempts"] == 2
    steps = [point["step"] for point in training["losses"] if point["split"] == "train"]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_a_study_killed_at_any_moment_ends_with_the_same_losses(tmp_path, tiny_model, tiny_data):
    recipe = _write_recipe(tmp_path, tiny_model, tiny_data, method="lora", epochs=4)
    bakeoff(tmp_path, "run", recipe, "--runs-dir", "calm")
    calm = json.loads(bakeoff(tmp_path, "results", "--json", "--runs-dir", "calm").stdout)
    for moment in (1.0, 2.5, 4.0, 5.5, 7.0, 9.0, 11.0, 13.0):
        process = subprocess.Popen(
            command("run", recipe), cwd=tmp_path, env=environment(tmp_path),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        threading.Timer(moment, process.kill).start()
        process.wait()
        for path in (tmp_path / "runs").glob("*/record.json"):
            json.loads(path.read_text(encoding="utf-8"))
    bakeoff(tmp_path, "run", recipe)
    shaken = _records(tmp_path)
    assert [r["run_id"] for r in shaken] == [r["run_id"] for r in calm]
    for ours, theirs in zip(shaken, calm, strict=True):
        assert ours["losses"] == theirs["losses"]
        assert ours["scores"] == theirs["scores"]


def test_an_interrupted_study_ends_with_130_and_leaves_no_process(tmp_path, tiny_model, tiny_data):
    recipe = _write_recipe(tmp_path, tiny_model, tiny_data, method="full", epochs=2000)
    process = subprocess.Popen(
        command("run", recipe), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    _wait_for_event(tmp_path / "runs", "step", number=3)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_two_bakeoffs_of_one_study_at_once_do_the_work_once(tmp_path, recipe):
    arguments = command("run", recipe, "--set", "method=lora")
    both = [
        subprocess.Popen(
            arguments, cwd=tmp_path, env=environment(tmp_path),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
        )
        for _ in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sum("waiting for it to end" in text for text in errors) == 1
    assert sum("Nothing was run" in text for text in errors) == 1
    for record in _records(tmp_path):
        assert record["status"] == "finished"
        assert record["measurement"]["num_attempts"] == 1


def _wait_for_event(runs_dir: Path, kind: str, *, number: int) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run_dir in runs_dir.glob("train-*"):
            found = [e for e in _events(run_dir) if kind in (e["kind"], e.get("phase"))]
            if len(found) >= number:
                return run_dir
        time.sleep(0.01)
    raise TimeoutError(kind)


def _events(run_dir: Path):
    path = run_dir / "events.jsonl"
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_training_that_runs_out_of_memory_is_recorded_and_the_study_goes_on(tmp_path, tiny_model):
    data = tmp_path / "many"
    data.mkdir()
    for name, number in (("train", 3000), ("test", 2)):
        rows = [
            {"question": f"{name} {index} " + "apples " * 200, "answer": "#### 1"}
            for index in range(number)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / f"{name}.jsonl").write_text(text, encoding="utf-8")
    recipe = _write_recipe(tmp_path, tiny_model, data, method="full")
    overrides = {
        "data.num_validation": "0",
        # All rows in one pass: several gigabytes.
        "train.batch_size": "3000",
        "train.max_length": "[100000, 8]",
        "evaluate.base": "false",
    }
    chosen = [text for key, value in overrides.items() for text in ("--set", f"{key}={value}")]
    process = subprocess.Popen(
        command("run", recipe, *chosen), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    _wait_for_event(tmp_path / "runs", "load_model", number=1)
    (training,) = psutil.Process(process.pid).children(recursive=True)
    room = training.memory_info().vms + (1 << 30)
    training.rlimit(psutil.RLIMIT_AS, (room, room))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    first, second = _records(tmp_path)
    assert (first["status"], second["status"]) == ("out_of_memory", "failed")
    assert "train.batch_size" in first["error"]
    assert first["measurement"]["peak_host_bytes"] > 0
