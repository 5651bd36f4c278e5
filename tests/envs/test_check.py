"""A check trains, and tells what went wrong."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.envs import tiny_env

from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.check import check
from bakeoff.envs.resolve import Environment
from bakeoff.schema.plan import Launch

TRAINS = """
import json, pathlib
out = pathlib.Path("trained/checkpoint-2")
out.mkdir(parents=True)
history = [{"loss": 5.5}, {"loss": LAST}, {"train_runtime": 1}]
(out / "trainer_state.json").write_text(json.dumps({"log_history": history}))
(out / "adapter_model.safetensors").touch()
"""


@pytest.fixture
def checked(made, monkeypatch):
    """A check of this interpreter, which holds torch, with a framework that is one script."""
    monkeypatch.setitem(ENVIRONMENTS._targets, "tiny", "tests.envs.tiny_env:SPEC")

    def run(script, imports=("json",)):
        tiny_env.use(made)
        tiny_env.SPEC = replace(
            tiny_env.SPEC,
            imports=imports,
            trial=lambda trial: Launch(argv=(str(trial.python), "-c", script)),
        )
        environment = Environment(
            name="tiny",
            python=Path(sys.executable),
            lock_digest=None,
            versions={"python": "3"},
            differences=(),
            folder=made.folder,
        )
        return check(environment, os.environ, made.said.append)

    return run


@pytest.mark.slow
def test_a_training_with_losses_and_an_adapter_passes_and_is_noted(checked, made):
    done = checked(TRAINS.replace("LAST", "5.25"))
    assert done.ok, done.error
    assert done.losses == (5.5, 5.25)
    assert done.train_seconds > 0
    assert done.device is not None
    noted = (made.folder / "checked.json").read_text(encoding="utf-8")
    assert type(done).model_validate_json(noted) == done
    assert made.said == ["importing tiny-framework", "training 2 steps with tiny-framework"]


@pytest.mark.slow
def test_a_framework_that_cannot_be_imported_fails_with_the_end_of_the_log(checked):
    done = checked(TRAINS, imports=("no_such_framework",))
    assert not done.ok
    assert "No module named 'no_such_framework'" in done.error
    assert done.import_seconds is None


def test_a_framework_that_dies_fails_with_the_end_of_the_log(checked):
    done = checked("raise SystemExit('the kernel is missing')")
    assert not done.ok
    assert "exit code 1" in done.error
    assert "the kernel is missing" in done.error
    assert done.train_seconds is None


@pytest.mark.slow
@pytest.mark.parametrize("script", ["pass", TRAINS.replace("LAST", "float('nan')")])
def test_a_training_without_finite_losses_fails_though_it_ended_well(checked, script):
    done = checked(script)
    assert not done.ok
    assert "ended without an error, but not with 2 losses and an adapter" in done.error
