"""Whole studies with `report_to`: what the trackers show is what the runs left. Real everything."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.command import bakeoff, command, environment

from bakeoff.base.files import read_json
from bakeoff.runner.track.reporter import tracker_folder

# MLflow's own, where it uses SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RECIPE = """
name: tiny
model: {model}
data: {{source: {data}, num_validation: 4}}
method: [lora]
device: cpu
train: {{learning_rate: 1e-3, precision: fp32, batch_size: 4, save_every: 1, num_epochs: {epochs}}}
lora: {{rank: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32, limit: 4}}
report_to: [mlflow, tensorboard]
"""


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data) -> Path:
    return write_recipe(tmp_path, tiny_model, tiny_data)


def write_recipe(folder, model, data, *, epochs=1) -> Path:
    path = folder / "recipe.yaml"
    values = {"model": json.dumps(str(model)), "data": json.dumps(str(data)), "epochs": epochs}
    path.write_text(RECIPE.format(**values), encoding="utf-8")
    return path


def mlflow_runs(folder, study="tiny"):
    """By bakeoff's run id: status, metrics, and the history of each curve."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tracker_folder(folder / 'runs', 'mlflow') / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study).experiment_id
    return {
        run.data.tags["bakeoff.run_id"]: {
            "run": run,
            "curves": {
                name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        }
        for run in client.search_runs([experiment])
    }


def tensorboard_losses(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (path,) = tracker_folder(folder / "runs", "tensorboard").glob("tiny/train*")
    read = EventAccumulator(str(path))
    read.Reload()
    return [(event.step, event.value) for event in read.Scalars("train/loss")]


def steps_of(run_dir):
    """Each step as the file tells it first, by number."""
    found = {}
    for line in (run_dir / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["kind"] == "step":
            found.setdefault(event["step"], event)
    return found


@pytest.mark.slow
def test_what_the_trackers_show_is_what_the_runs_left(tmp_path, recipe):
    bakeoff(tmp_path, "run", recipe, "--set", "report_to=tensorboard")
    # One more tracker repeats nothing: it gets what is there, and the other one nothing twice.
    done = bakeoff(tmp_path, "run", recipe)
    assert "Nothing was run" in done.stderr
    assert "mlflow ui" in done.stdout or "uvx mlflow@" in done.stdout
    assert "tensorboard --logdir" in done.stdout
    shown = mlflow_runs(tmp_path)
    found = [read_json(path) for path in (tmp_path / "runs").glob("*/record.json")]
    records = {record["run_id"]: record for record in found}
    assert shown.keys() == records.keys()
    assert len(shown) == 3
    for run_id, record in records.items():
        run = shown[run_id]["run"]
        assert run.info.status == "FINISHED"
        assert run.data.tags["bakeoff.data_digest"] == record["data"]["digest"]
        wall = record["measurement"]["wall_seconds"]
        assert run.data.metrics["result/wall_seconds"] == pytest.approx(wall)
        for score in record["scores"]:
            name = f"score/data 0-shot/exact_match {score['filter']}"
            assert run.data.metrics[name] == score["value"]
            assert run.data.metrics[f"{name} stderr"] == pytest.approx(score["stderr"])

    training = next(r for r in records.values() if r["kind"] == "train")
    curves = shown[training["run_id"]]["curves"]
    steps = steps_of(tmp_path / "runs" / training["run_id"])
    for name, key in (("loss", "loss"), ("grad_norm", "grad_norm"), ("step_seconds", "seconds"),
                      ("learning_rate", "learning_rate")):  # fmt: skip
        assert curves[f"train/{name}"] == [(n, event[key]) for n, event in steps.items()]
    speeds = [event["num_tokens"] / event["seconds"] for event in steps.values()]
    assert [value for _, value in curves["train/tokens_per_second"]] == pytest.approx(speeds)
    peak = max(value for _, value in curves["memory/host_gib"])
    assert peak * 2**30 == pytest.approx(training["measurement"]["peak_host_bytes"])
    assert [number for number, _ in tensorboard_losses(tmp_path)] == list(steps)
    assert [loss for _, loss in tensorboard_losses(tmp_path)] == pytest.approx(
        [event["loss"] for event in steps.values()]
    )


def test_a_tracker_that_is_not_there_is_said_before_anything_starts(tmp_path, recipe):
    done = bakeoff(tmp_path, "plan", recipe, "--set", "report_to=[mlfow]", expect=2)
    assert "did you mean `mlflow`?" in done.stderr
    # As without the package: its metadata is hidden from this one command.
    program = (
        "import importlib.metadata as m, sys\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'wandb': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "from bakeoff.cli import main\n"
        f"sys.argv = ['bakeoff', 'run', {str(recipe)!r}, '--set', 'report_to=wandb']\n"
        "main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "`report_to`: `wandb` needs wandb>=" in ran.stderr
    assert "-m pip install 'wandb>=" in ran.stderr
    assert not (tmp_path / "runs").exists()


def family_of(process):
    return psutil.Process(process.pid).children(recursive=True)


def wait_until(happened, *, seconds=120):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_study_leaves_nothing_running_and_goes_on_as_the_same_runs(
    tmp_path, tiny_model, tiny_data
):
    recipe = write_recipe(tmp_path, tiny_model, tiny_data, epochs=300)
    process = subprocess.Popen(
        command("run", recipe), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    told = tmp_path / "runs" / "studies" / "tiny" / "trackers" / "mlflow.json"
    wait_until(lambda: told.is_file() and '"train/loss"' in told.read_text(encoding="utf-8"))
    family = family_of(process)
    assert any("track" in child.cmdline() for child in family)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, [child.cmdline() for child in alive]
    before = mlflow_runs(tmp_path)
    (training,) = [name for name in before if name.startswith("train")]
    assert before[training]["run"].info.status == "KILLED"

    bakeoff(tmp_path, "run", recipe)
    after = mlflow_runs(tmp_path)
    assert {run["run"].info.status for run in after.values()} == {"FINISHED"}
    assert after[training]["run"].info.run_id == before[training]["run"].info.run_id
    steps = [number for number, _ in after[training]["curves"]["train/loss"]]
    assert steps == list(range(1, len(steps) + 1))
    assert [number for number, _ in tensorboard_losses(tmp_path)][-1] == steps[-1]


@pytest.mark.slow
def test_a_tracker_that_cannot_be_reached_harms_no_run(tmp_path, recipe):
    variables = {"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9"}
    done = subprocess.run(
        command("run", recipe, "--set", "report_to=mlflow"),
        cwd=tmp_path, env={**environment(tmp_path), **variables},
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.count("The runs go on without it") == 1
    assert "secret" not in done.stderr + done.stdout
    assert "bakeoff track tiny --to mlflow" in done.stderr
    # The server is back (here: the file of this study): everything is sent.
    sent = bakeoff(tmp_path, "track", "tiny", "--to", "mlflow")
    assert "3 runs sent" in sent.stderr
    assert len(mlflow_runs(tmp_path)) == 3


@pytest.mark.slow
def test_all_trackers_at_once(tmp_path, recipe):
    names = ["mlflow", "swanlab", "tensorboard", "trackio", "wandb"]
    done = bakeoff(tmp_path, "run", recipe, "--set", f"report_to=[{','.join(names)}]")
    assert "goes on without" not in done.stderr
    for name in names:
        path = tmp_path / "runs" / "studies" / "tiny" / "trackers" / f"{name}.json"
        sent = json.loads(path.read_text(encoding="utf-8"))
        assert len(sent["runs"]) == 3
        assert all(run["record"] for run in sent["runs"].values())
