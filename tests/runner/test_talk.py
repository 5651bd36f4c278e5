"""The process that holds both models: asked, stopped, let go; never left behind."""

import os
import signal
import time

import pytest
from tests.dashboard.conftest import make_site
from tests.trained import make_saying, trained_study

from bakeoff.base.errors import RunError
from bakeoff.runner.talk import Question, Talking
from bakeoff.runner.use_model import trained_model

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
ASKED = Question(question="2 + 2?", max_new_tokens=6, temperature=0.0)


def _talking(tmp_path, model_dir, **options):
    store, run_id = trained_study(tmp_path / "runs", model_dir)
    workspace = make_site(tmp_path / "runs").workspace_of_study(None)
    return Talking(trained_model(store, run_id), workspace, **{"idle_seconds": 600, **options})


def _told(talking, number):
    for told in talking.told(number):
        if told is None:
            time.sleep(0.02)
        else:
            yield told


def test_questions_are_answered_in_their_order_until_the_process_is_closed(tmp_path, tiny_model):
    talking = _talking(tmp_path, make_saying(tiny_model, tmp_path / "model", "四。"))
    first, second = talking.ask(ASKED), talking.ask(ASKED)
    assert talking.is_answering
    talking.stop(second)
    told = list(_told(talking, first))
    assert "".join(one["more"] for one in told if one.get("side") == "base" and "more" in one) == (
        "四。"
    )
    told = list(_told(talking, second))
    assert [one["reason"] for one in told if "reason" in one] == ["stopped", "stopped"]
    assert talking.is_loaded
    assert not talking.is_answering
    assert talking.is_running
    folder = talking._folder
    talking.close()
    assert not talking.is_running
    assert not folder.exists()
    with pytest.raises(RunError):
        list(_told(talking, talking._num_asked + 1))


@pytest.mark.slow
def test_an_idle_process_ends_and_one_that_is_killed_is_told(tmp_path, tiny_model):
    talking = _talking(tmp_path / "idle", tiny_model, idle_seconds=0.5)
    list(_told(talking, talking.ask(ASKED)))
    assert talking._child.wait(60) == 0
    talking.close()
    talking = _talking(tmp_path / "killed", tiny_model)
    list(_told(talking, talking.ask(ASKED)))
    os.kill(talking._child.pid, signal.SIGKILL)
    with pytest.raises(RunError, match="holds the models ended"):
        list(_told(talking, talking.ask(ASKED)))
    talking.close()


@pytest.mark.slow
def test_a_model_whose_files_are_broken_is_told_with_the_reason(tmp_path, tiny_model):
    talking = _talking(tmp_path, tiny_model)
    talking.close()
    (talking.model.artefact_dir / "adapter_model.safetensors").write_bytes(b"no weights")
    workspace = make_site(tmp_path / "runs").workspace_of_study(None)
    talking = Talking(talking.model, workspace, idle_seconds=600)
    with pytest.raises(RunError, match="header"):
        list(_told(talking, talking.ask(ASKED)))
    talking.close()
