"""Starts a backend's launch as the runner does."""

import os
import subprocess
import time
from pathlib import Path

from tests.backends.environments import interpreter

from bakeoff.backends import BACKENDS
from bakeoff.interfaces import Inputs
from bakeoff.runner.distribution import distribution_of
from bakeoff.schema.plan import TrainPlan


def start(name: str, plan: TrainPlan, run_dir: Path, *, model: Path, data: Path):
    """The running process, leader of a group of its own; started again it goes on."""
    backend = BACKENDS.get(name)()
    assert not list(backend.check(plan))
    run_dir.mkdir(parents=True, exist_ok=True)
    inputs = Inputs(
        python=interpreter(name),
        model_dir=model,
        data_dir=data,
        distribution=distribution_of(plan),
    )
    made = backend.render(plan, inputs, run_dir)
    for file, text in made.files.items():
        (run_dir / file).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / file).write_text(text, encoding="utf-8", newline="\n")
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.Popen(
        made.argv,
        cwd=run_dir,
        env={**inherited, **made.env, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def launch(name: str, plan: TrainPlan, run_dir: Path, *, model: Path, data: Path):
    """The process when it has ended, with what it said."""
    process = start(name, plan, run_dir, model=model, data=data)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def wait_for_step(run_dir: Path, step: int, process: subprocess.Popen) -> None:
    """Until the running process has reported this optimiser step."""
    deadline = time.monotonic() + 120
    while True:
        path = run_dir / "events.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if f'"step": {step},' in text:
            return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
