"""The room that a study needs is counted before anything is fetched."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.base.errors import UserError
from bakeoff.base.hub_access import HubAccess
from bakeoff.runner.disk import check_disk, disk_needs
from bakeoff.runner.prepare import prepare_study
from bakeoff.runner.workspace import Workspace

GB = 10**9


@pytest.fixture
def study(tmp_path, tiny_model, tiny_data):
    def prepare(text=""):
        recipe = tmp_path / "r.yaml"
        recipe.write_text(
            f"name: t\nmodel: '{tiny_model}'\ndata: '{tiny_data}'\nmethod: [lora, full]\n{text}",
            encoding="utf-8",
        )
        return prepare_study(recipe, [], cache_dir=tmp_path / "cache")

    return prepare


@pytest.fixture
def workspace(tmp_path):
    return Workspace(
        runs_dir=tmp_path / "runs",
        cache_dir=tmp_path / "cache",
        python=Path("python"),
        environment={},
        command_line=(),
        hub=HubAccess(offline=True),
    )


@pytest.fixture
def size(tiny_model):
    """Bytes of the model's files that count."""
    return sum(path.stat().st_size for path in tiny_model.iterdir() if path.suffix != ".md")


def needs(study, workspace, done=()):
    return {need.what.split(" (")[0]: need.num_bytes for need in disk_needs(study, workspace, done)}


def test_a_local_model_costs_nothing_and_a_full_training_its_weights_and_checkpoints(
    study, workspace, size
):
    found = needs(study("seed: [0, 1]"), workspace, done={_model_step(study())})
    assert found["weights of 2 full fine-tunings"] == 2 * size
    assert found["checkpoints while one full fine-tuning runs"] == 6 * size
    assert len(found) == 2


def _model_step(prepared):
    return f"model-{prepared.plan.steps[0].id}"


def test_without_checkpoints_only_the_weights_count(study, workspace):
    found = needs(study("train: {save_every: 0}"), workspace, done={_model_step(study())})
    assert list(found) == ["weights of 1 full fine-tunings"]


def test_fp32_takes_twice_the_room(study, workspace, size):
    found = needs(study("train: {precision: fp32}"), workspace)
    assert found["weights of 1 full fine-tunings"] == 2 * size


def test_what_is_done_needs_no_room(study, workspace):
    from bakeoff.runner.progress import step_name

    prepared = study()
    assert needs(prepared, workspace, {step_name(step) for step in prepared.plan.steps}) == {}


def test_a_disk_too_small_is_refused_with_the_numbers(study, workspace, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("bakeoff.runner.disk.disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="the study needs about") as raised:
        check_disk(study(), workspace, done=())
    assert "0.0 GB free" in str(raised.value)
    assert "checkpoints while one full fine-tuning runs" in str(raised.value)
    assert "--runs-dir" in raised.value.hint


def test_a_model_on_a_hub_that_nobody_can_ask_does_not_stop_a_study(study, workspace):
    prepared = study()
    model = prepared.plan.steps[0].model.model_copy(update={"source": "a/b"})
    step = prepared.plan.steps[0].model_copy(update={"model": model})
    plan = prepared.plan.model_copy(update={"steps": (step, *prepared.plan.steps[1:])})
    assert needs(replace(prepared, plan=plan), workspace) == {}
