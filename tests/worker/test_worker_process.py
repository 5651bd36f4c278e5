"""The worker as a process: how it is started, stopped, and ends."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.worker.training import job, losses, read_events, write_data

import bakeoff.worker
from bakeoff.schema.events import EndEvent, WarningEvent, read_events_file
from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError, classify

WORKER = Path(bakeoff.worker.__file__).parent

FAKE_JOB = """
import sys, time
from pathlib import Path

def main(job):
    Path("started").touch()
    exec(job["code"])
"""


@pytest.fixture
def worker(tmp_path):
    """A copy of the worker whose `convert` job runs the code it is told."""
    folder = tmp_path / "安装 elsewhere" / "bakeoff" / "worker"
    shutil.copytree(WORKER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "convert.py").write_text(FAKE_JOB, encoding="utf-8")
    return folder / "__main__.py"


def start(worker, run_dir, code, *, kind="convert", stdin=subprocess.DEVNULL, isolated=True):
    """Start it as the runner does; ``isolated`` hides the installed bakeoff."""
    run_dir.mkdir(exist_ok=True)
    (run_dir / "job.json").write_text(json.dumps({"code": code}), encoding="utf-8")
    flags = ["-I", "-S"] if isolated else []
    return subprocess.Popen(
        [sys.executable, *flags, str(worker), kind, "job.json"],
        cwd=run_dir,
        stdin=stdin,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(run_dir):
    *_, last = read_events_file(run_dir / "events.jsonl")
    assert isinstance(last, EndEvent)
    return last.status, last.error


def wait_for(path, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "expected_code", "status", "error"),
    [
        ("", 0, "finished", None),
        ("raise ValueError('坏 row 7')", 1, "failed", "ValueError: 坏 row 7"),
        (
            "from bakeoff.worker.failures import JobError; raise JobError('mend it')",
            1,
            "failed",
            "mend it",
        ),
        ("raise KeyboardInterrupt", 130, "cancelled", "stopped on request"),
    ],
)
def test_the_end_of_a_job_is_its_exit_code_and_last_event(
    code, expected_code, status, error, worker, tmp_path
):
    process = start(worker, tmp_path / "运行", code)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == expected_code, errors
    assert end_of(tmp_path / "运行") == (status, error)
    assert ("Traceback" in errors) == ("ValueError" in code)


def test_memory_that_runs_out_has_its_own_exit_code_and_advice(worker, tmp_path):
    process = start(worker, tmp_path / "run", "bytearray(1 << 60)")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert end_of(tmp_path / "run")[0] == "out_of_memory"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
def test_a_request_to_stop_is_recorded(worker, tmp_path):
    process = start(worker, tmp_path / "run", "time.sleep(60)")
    wait_for(tmp_path / "run" / "started")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert end_of(tmp_path / "run") == ("cancelled", "stopped on request")


def test_the_worker_ends_when_the_other_end_of_its_input_closes(worker, tmp_path):
    process = start(worker, tmp_path / "run", "time.sleep(60)", stdin=subprocess.PIPE)
    wait_for(tmp_path / "run" / "started")
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(timeout=20) == 130
    process.stderr.close()


def test_the_worker_needs_no_installed_bakeoff_and_hides_no_library(worker, tmp_path):
    code = """
import bakeoff.worker.events
assert str(Path(bakeoff.worker.events.__file__).parent) == {folder!r}, bakeoff.worker.events
import importlib.util
for name in ("evaluate", "convert", "machine", "pydantic"):
    assert importlib.util.find_spec(name) is None, name
"""
    process = start(worker, tmp_path / "run", code.format(folder=str(worker.parent)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("arguments", [[], ["train"], ["paint", "job.json"]])
def test_a_wrong_call_says_how_to_call(arguments):
    done = subprocess.run(
        [sys.executable, str(WORKER / "__main__.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (lambda: torch.empty(1 << 50), "out_of_memory"),
        (lambda: [0] * (1 << 60), "out_of_memory"),
        (lambda: torch.zeros(2) + torch.zeros(3), "failed"),
        (lambda: Path("does/not/exist").read_text(encoding="utf-8"), "failed"),
    ],
)
def test_real_failures_are_told_apart(cause, status):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any kind
        cause()
    assert classify(caught.value, "train")[0] == status


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    ],
)
def test_memory_errors_of_every_device_are_known(error):
    status, text = classify(error, "train")
    assert status == "out_of_memory"
    assert "train.batch_size" in text
    assert "evaluate.batch_size" in classify(error, "evaluate")[1]


def test_a_job_error_speaks_for_itself():
    assert classify(JobError("raise it"), "train") == ("failed", "raise it")


def test_a_torn_line_is_dropped_before_the_next_event(tmp_path):
    path = tmp_path / "events.jsonl"
    with contextlib.closing(Events(path)) as events:
        events.warning("一")
    with path.open("ab") as file:
        file.write(b'{"kind": "warn')
    with contextlib.closing(Events(path)) as events:
        events.warning("二")
    assert [event.text for event in read_events_file(path) if isinstance(event, WarningEvent)] == [
        "一", "二",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_as_if_never_killed(tiny_model, tmp_path):
    data = write_data(tmp_path / "data")
    raw = job(tiny_model, data, num_epochs=40, save_every=3, lora_dropout=0.2)

    def launch(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "job.json").write_text(json.dumps(raw), encoding="utf-8")
        with (folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(WORKER / "__main__.py"), "train", "job.json"],
                cwd=folder, stdin=subprocess.DEVNULL, stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    assert launch("whole").wait(timeout=120) == 0
    for number in (7, 30, 61):
        process = launch("killed")
        while not any(event["step"] >= number for event in step_events(tmp_path / "killed")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert launch("killed").wait(timeout=120) == 0
    assert len(read_events(tmp_path / "killed", "resume")) == 3
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    results = [
        json.loads((tmp_path / name / "result.json").read_text("utf-8"))
        for name in ("killed", "whole")
    ]
    assert results[0] == results[1]


def step_events(run_dir):
    path = run_dir / "events.jsonl"
    return [event.model_dump() for event in read_events_file(path) if event.kind == "step"]
