"""Two "machines" on the loopback meet through torchrun's rendezvous and do one training."""

import contextlib
import json
import os
import random
import socket
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest
from tests.backends.plans import make_plan
from tests.worker.training import losses, write_data

from bakeoff.backends import BACKENDS
from bakeoff.base.hub import HubAccess
from bakeoff.interfaces import Inputs
from bakeoff.runner.distribution import distribution_of
from bakeoff.runner.join import join_runs, offer_to_machines
from bakeoff.runner.process_run import Watching, run_process
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import World
from bakeoff.schema.recipe_machine import ExchangeSpec
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.worker import train

pytestmark = pytest.mark.slow


def free_port():
    """Not one of those that the system and Ray hand out meanwhile to tests beside this one."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_two_machines_learn_what_one_process_learns(tiny_model, tmp_path):
    data = write_data(tmp_path / "data")
    settings = {"precision": "fp32", "max_steps": 4}
    one = make_plan(method="full", lora=None, train=TrainSpec(batch_size=4, **settings))
    two = make_plan(
        method="full",
        lora=None,
        strategy="ddp",
        world=World(num_nodes=2, devices_per_node=1),
        train=TrainSpec(batch_size=2, **settings),
    )
    exchange = ExchangeSpec(rendezvous=f"127.0.0.1:{free_port()}", timeout_minutes=2)
    workspace = Workspace(
        runs_dir=tmp_path / "runs",
        cache_dir=tmp_path,
        python=Path(sys.executable),
        environment=os.environ,
        command_line=(),
        hub=HubAccess(),
        exchange=exchange,
    )
    run_dir = tmp_path / "runs" / "train-two"
    run_dir.mkdir(parents=True)
    backend = BACKENDS.get("builtin")()
    inputs = Inputs(
        python=workspace.python,
        model_dir=tiny_model,
        data_dir=data,
        distribution=distribution_of(two),
    )
    launch = backend.render(two, inputs, run_dir)
    assert "bakeoff join" in offer_to_machines(launch, run_dir, workspace)
    codes, said = [], []
    other = threading.Thread(
        target=lambda: codes.append(
            join_runs(workspace.runs_dir, environment=os.environ, once=True, say=said.append)
        )
    )
    other.start()
    outcome = run_process(
        launch,
        run_dir,
        environment={**os.environ, **workspace.exchange_environment},
        read_events=backend.read_events,
        on_event=lambda _: None,
        watching=Watching(with_gpus=False),
    )
    other.join()
    assert outcome.status == "finished", outcome.error
    assert codes == [0]
    assert said[1] == "joining train-two"
    assert [peak.rank for peak in outcome.ranks] == [0, 1]

    single = tmp_path / "single"
    single.mkdir()
    alone = backend.render(one, Inputs(**{**vars(inputs), "distribution": None}), single)
    train.main(json.loads(alone.files[PurePosixPath("job.json")]), single)
    for step, values in losses(single).items():
        assert losses(run_dir)[step] == pytest.approx(values, rel=1e-5)
