"""What holds for every backend; a new one is tested by its line in the registry."""

import sys
from pathlib import Path

import pytest
from tests.backends.environments import backend_names
from tests.backends.launching import launch
from tests.backends.plans import make_plan
from tests.worker.training import write_data

from bakeoff.backends import BACKENDS
from bakeoff.base.errors import UserError
from bakeoff.interfaces import Backend, Inputs
from bakeoff.schema.events import EndEvent, StepEvent
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec


@pytest.fixture(params=BACKENDS.names())
def backend(request) -> Backend:
    return BACKENDS.get(request.param)()


@pytest.fixture
def inputs(tmp_path) -> Inputs:
    """Folders as a Windows user with a Chinese name has them."""
    home = tmp_path / "用户 张三"
    return Inputs(python=Path(sys.executable), model_dir=home / "模型 1", data_dir=home / "数据 1")


def test_rendering_is_pure(backend, inputs, tmp_path):
    run_dir = tmp_path / "运行 1"
    first = backend.render(make_plan(), inputs, run_dir)
    assert backend.render(make_plan(), inputs, run_dir) == first
    assert list(tmp_path.iterdir()) == []


def test_the_launch_is_text_and_writes_only_inside_the_run_directory(backend, inputs, tmp_path):
    launch = backend.render(make_plan(), inputs, tmp_path)
    assert launch.argv[0] == str(inputs.python)
    assert all(isinstance(part, str) and part for part in launch.argv)
    assert all(isinstance(part, str) for pair in launch.env.items() for part in pair)
    assert all(not path.is_absolute() and ".." not in path.parts for path in launch.files)


def test_every_setting_changes_the_launch(backend, inputs, tmp_path):
    plan = make_plan()
    launch = backend.render(plan, inputs, tmp_path)
    for changed in (
        make_plan(seed=1),
        make_plan(trust_remote_code=True),
        make_plan(method="full", lora=None),
        make_plan(lora=LoraSpec(rank=8)),
        make_plan(train=TrainSpec(learning_rate=0.5)),
    ):
        assert backend.render(changed, inputs, tmp_path) != launch


def test_a_plan_that_it_can_run_has_no_problems(backend):
    assert list(backend.check(make_plan())) == []
    assert list(backend.check(make_plan(method="full", lora=None))) == []


def test_a_problem_names_the_key_and_what_to_do(backend):
    plans = [
        make_plan(lora=None),
        make_plan(extra={"no_such_setting_of_anybody": 1}),
    ]
    problems = [problem for plan in plans for problem in backend.check(plan)]
    assert {"lora"} <= {problem.key for problem in problems}
    assert all(problem.message and problem.hint for problem in problems)


def test_a_run_that_left_nothing_has_no_events_and_no_result(backend, tmp_path):
    assert list(backend.read_events(tmp_path)) == []
    with pytest.raises(FileNotFoundError):
        backend.read_result(tmp_path)


def test_an_unknown_backend_is_answered_with_the_nearest_name():
    with pytest.raises(UserError) as caught:
        BACKENDS.get("bultin")
    assert caught.value.hint == "did you mean `builtin`?"


@pytest.mark.parametrize("name", backend_names())
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_real_training_ends_with_events_and_a_result(method, name, tiny_model, tmp_path):
    backend = BACKENDS.get(name)()
    data = write_data(tmp_path / "数据 data")
    run_dir = tmp_path / "运行 run"
    plan = make_plan(method=method, lora=LoraSpec(rank=4) if method == "lora" else None)
    done = launch(name, plan, run_dir, model=tiny_model, data=data)
    assert done.returncode == 0, done.stderr
    events = list(backend.read_events(run_dir))
    assert [event.step for event in events if isinstance(event, StepEvent)] == [1, 2]
    assert isinstance(events[-1], EndEvent)
    assert events[-1].status == "finished"
    result = backend.read_result(run_dir)
    assert (run_dir / result.artefact / "tokenizer.json").exists()
    assert result.effective["num_steps"] == 2
    assert result.num_examples == 12

    events_file = run_dir / "events.jsonl"
    whole = events_file.read_bytes()
    events_file.write_bytes(whole + '{"kind": "warning", "text": "半'.encode())
    assert list(backend.read_events(run_dir)) == events
