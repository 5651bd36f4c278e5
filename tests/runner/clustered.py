"""A study for a cluster, and what it must come to although a worker was lost."""

import contextlib
import json
import subprocess
import time
from pathlib import Path

import psutil
from tests.command import bakeoff, command, environment

RECIPE = """
name: spread
model: {model}
data: {{source: {data}, num_validation: 4}}
device: cpu
method: [lora, full]
execution: {execution}
train: {{precision: fp32, batch_size: 4, num_epochs: 60, save_every: 20}}
lora: {{rank: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32, limit: 2}}
"""


def write_recipe(folder: Path, model: Path, data: Path, execution: str) -> Path:
    path = folder / "spread.yaml"
    text = RECIPE.format(
        model=json.dumps(str(model)), data=json.dumps(str(data)), execution=execution
    )
    path.write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def running_study(tmp_path, recipe, *flags):
    """The process of a study, which is ended with the block; it writes into `err.txt`."""
    with (tmp_path / "err.txt").open("wb") as errors:
        study = subprocess.Popen(
            command("run", recipe, *flags), cwd=tmp_path, env=environment(tmp_path), stderr=errors
        )
    try:
        yield study
    finally:
        study.kill()
        study.wait()


def training_at_work(tmp_path, study):
    """A training that has done a step, and the process of the cluster that runs it."""
    deadline = time.monotonic() + 300
    while True:
        assert time.monotonic() < deadline
        assert study.poll() is None, (tmp_path / "err.txt").read_text("utf-8")
        for events in tmp_path.glob("runs/train-*/events.jsonl"):
            is_open = not (events.parent / "record.json").exists()
            if is_open and '"kind": "step"' in events.read_text("utf-8"):
                attempts = (events.parent / "attempts.jsonl").read_text("utf-8").splitlines()
                training = psutil.Process(json.loads(attempts[0])["pid"])
                return events.parent, training.parent()
        time.sleep(0.05)


def counted_once(tmp_path, *, lost):
    """Every run is there and whole; that of the lost worker went on in a second attempt."""
    records = json.loads(bakeoff(tmp_path, "results", "--study", "spread", "--json").stdout)
    assert len(records) == 5  # the untouched model, two trainings, their evaluations
    assert len({record["run_id"] for record in records}) == 5
    assert {record["status"] for record in records} == {"finished"}
    again = next(record for record in records if record["run_id"] == lost)
    assert again["measurement"]["num_attempts"] == 2
    steps = [point["step"] for point in again["losses"] if point["split"] == "train"]
    assert steps == list(range(1, again["measurement"]["num_steps"] + 1))
