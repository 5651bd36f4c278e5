"""Frameworks over two processes learn what one of them learns."""

import json
import os
import signal

import pytest
from tests.backends.environments import needs_environment
from tests.backends.launching import launch, start, wait_for_step
from tests.backends.plans import make_plan
from tests.worker.training import losses, read_events, write_data

from bakeoff.backends import BACKENDS
from bakeoff.schema.plan import World
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec

FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.backend(name))
    for name in BACKENDS.names()
    if needs_environment(name)
]
TOLERANCE = 1e-4
"""Relative, in fp32: padding differs between one process and two."""

pytestmark = pytest.mark.slow


def plan_of(name, method, strategy, **train):
    number = 1 if strategy == "single" else 2
    settings = {"precision": "fp32", "batch_size": 4 // number, "num_epochs": 2.0, **train}
    return make_plan(
        backend=name,
        method=method,
        lora=LoraSpec(rank=4) if method == "lora" else None,
        strategy=strategy,
        world=World(devices_per_node=number),
        train=TrainSpec(learning_rate=1e-2, max_grad_norm=0.5, **settings),
    )


def run(plan, run_dir, *, model, data):
    done = launch(plan.backend, plan, run_dir, model=model, data=data)
    assert done.returncode == 0, done.stderr + done.stdout
    return run_dir


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """10 rows, 4 a step: the last step of each epoch has a row for each process."""
    return write_data(tmp_path_factory.mktemp("spread"), num_train=10)


@pytest.fixture(scope="module")
def trained(tiny_model, data, tmp_path_factory):
    """Run directories of trainings, each made once."""
    made = {}

    def get(*cell):
        if cell not in made:
            folder = tmp_path_factory.mktemp("trained") / "run"
            made[cell] = run(plan_of(*cell), folder, model=tiny_model, data=data)
        return made[cell]

    return get


@pytest.mark.parametrize(
    ("method", "strategy"),
    [("lora", "ddp"), ("full", "zero2"), ("full", "zero3"), ("full", "fsdp"), ("lora", "fsdp")],
)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_two_processes_of_a_framework_have_the_curve_of_one(name, method, strategy, trained):
    found, expected = trained(name, method, strategy), trained(name, method, "single")
    ours, theirs = losses(found), losses(expected)
    assert list(ours) == list(theirs)
    for step, values in theirs.items():
        assert ours[step] == pytest.approx(values, rel=TOLERANCE), step
    result = json.loads((found / "result.json").read_text())
    reference = json.loads((expected / "result.json").read_text())
    assert result["batch_digest"] == reference["batch_digest"]
    assert result["num_total_parameters"] == reference["num_total_parameters"]
    assert result["effective"]["rows_per_step"] == 4
    assert sorted(p.name for p in found.glob("memory-rank*.json")) == [
        "memory-rank0.json",
        "memory-rank1.json",
    ]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_parted_training_that_was_killed_goes_on_and_ends_as_if_it_had_not(
    name, tiny_model, data, tmp_path
):
    plan = plan_of(name, "full", "fsdp", num_epochs=8.0, save_every=5)
    whole = run(plan, tmp_path / "whole", model=tiny_model, data=data)
    process = start(name, plan, tmp_path / "killed", model=tiny_model, data=data)
    wait_for_step(tmp_path / "killed", 12, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    killed = run(plan, tmp_path / "killed", model=tiny_model, data=data)
    (resumed,) = read_events(killed, "resume")
    assert resumed["step"] in (10, 15, 20)
    assert losses(killed) == losses(whole)
    weights = "artefact/model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()
