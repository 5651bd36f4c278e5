"""A process of several that is lost ends its run with the reason, and the run can go on."""

import os
import signal
import sys
import threading

import psutil
import pytest
from tests.backends.plans import make_plan
from tests.worker.training import losses, write_data

from bakeoff.backends import BACKENDS
from bakeoff.interfaces import Inputs
from bakeoff.runner.distribution import distribution_of
from bakeoff.runner.process_run import Watching, run_process
from bakeoff.schema.events import StepEvent
from bakeoff.schema.plan import World
from bakeoff.schema.recipe_train import TrainSpec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


@pytest.fixture
def training(tiny_model, tmp_path):
    """Starts the same training of two processes again and again in one directory."""
    data = write_data(tmp_path / "data", num_train=40)
    plan = make_plan(
        method="full",
        lora=None,
        strategy="ddp",
        world=World(devices_per_node=2),
        train=TrainSpec(precision="fp32", batch_size=1, num_epochs=4.0, save_every=5),
    )
    backend = BACKENDS.get("builtin")()
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    inputs = Inputs(
        python=sys.executable,
        model_dir=tiny_model,
        data_dir=data,
        distribution=distribution_of(plan),
    )

    def start(do=lambda pid: None, *, after=12, seconds=60.0):
        done = threading.Event()

        def look(event):
            if isinstance(event, StepEvent) and event.step >= after and not done.is_set():
                done.set()
                do(process_of(run_dir, rank=1))

        return run_process(
            backend.render(plan, inputs, run_dir),
            run_dir,
            environment={**os.environ, "BAKEOFF_EXCHANGE_SECONDS": str(seconds)},
            read_events=backend.read_events,
            on_event=look,
            watching=Watching(with_gpus=False),
        )

    start.run_dir = run_dir
    return start


def process_of(run_dir, *, rank):
    for process in psutil.process_iter(["cwd", "environ"]):
        environ = process.info["environ"] or {}
        if environ.get("RANK") == str(rank) and process.info["cwd"] == str(run_dir):
            return process.pid
    raise AssertionError("there is no such process")


def test_a_killed_process_is_named_with_its_log_and_the_run_goes_on_from_its_checkpoint(training):
    outcome = training(lambda pid: os.kill(pid, signal.SIGKILL))
    assert outcome.status == "out_of_memory"
    assert "Process 1 was killed from outside" in outcome.error
    assert "log.txt" in outcome.error
    assert list(training.run_dir.glob("checkpoint-*"))
    again = training()
    assert again.status == "finished", again.error
    steps = [event.step for event in again.events if isinstance(event, StepEvent)]
    assert steps[-1] == 80
    assert max(losses(training.run_dir)) == 80


def test_a_process_that_stands_still_is_named(training):
    stopped = []

    def stop(pid):
        stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)

    outcome = training(stop, seconds=4.0)
    assert outcome.status == "failed"
    assert "Process 1 of 2 stands still and tells nothing" in outcome.error
    assert "exchange.timeout_minutes" in outcome.error
    assert not psutil.pid_exists(stopped[0])
