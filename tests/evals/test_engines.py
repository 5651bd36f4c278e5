"""What every engine must do; a new one is tested by its line in the registry."""

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from tests.evals.conftest import make_plan

from bakeoff.evals import ENGINES
from bakeoff.interfaces import Inputs
from bakeoff.schema.events import ProgressEvent
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.schema.results import EvalResult

pytestmark = pytest.mark.parametrize("name", ENGINES.names())


@pytest.fixture
def engine(name):
    return ENGINES.get(name)()


def _inputs(tmp_path: Path) -> Inputs:
    return Inputs(
        python=tmp_path / "环境" / "python",
        model_dir=tmp_path / "model",
        data_dir=tmp_path / "数据 [1]",
        artefact_dir=tmp_path / "artefact",
    )


def test_an_engine_names_what_it_needs(engine):
    assert any(requirement.startswith("lm-eval") for requirement in engine.requirements)


@pytest.mark.parametrize("task", ["data", "gsm8k", "gsm8k_cot_zeroshot"])
def test_a_plain_plan_is_accepted(engine, name, task):
    assert not engine.check(make_plan(engine=name, task=task))


def test_processes_that_would_share_one_gpu_are_a_problem(engine, name):
    problems = engine.check(make_plan(engine=name, device="mps", world_size=2))
    assert "evaluate.world_size" in {problem.key for problem in problems}
    assert not engine.check(make_plan(engine=name, world_size=2))


def test_several_processes_are_started_by_torchrun(engine, name, tmp_path):
    launch = engine.render(make_plan(engine=name, world_size=4), _inputs(tmp_path), tmp_path)
    assert "--nproc-per-node=4" in launch.argv
    assert launch.argv[-2:] == ("evaluate", "job.json")


@pytest.mark.parametrize("task", ["mmlu_*", "tasks/mine.yaml", "a b"])
def test_what_is_no_task_name_is_a_problem(engine, name, task):
    (problem,) = engine.check(make_plan(engine=name, task=task))
    assert problem.key == "evaluate.tasks"
    assert task in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{prompt}} {{response}}", "it uses `prompt`, `response`"),
        ("{{question}} prompt", "it uses `question`"),
        ("prompt", "it uses none"),
        ("{{prompt}", "is not a valid Jinja template (line 1:"),
    ],
)
def test_a_template_that_cannot_be_asked_is_a_problem(engine, name, text, message):
    prompt = PromptSpec.model_construct(text=text)  # a recipe may refuse it already
    (problem,) = engine.check(make_plan(engine=name, prompt=prompt))
    assert problem.key == "prompt.text"
    assert message in problem.message


@pytest.mark.parametrize("task", ["data", "gsm8k"])
def test_the_launch_is_the_same_each_time_and_stays_in_its_folder(engine, name, task, tmp_path):
    plan, inputs = make_plan(engine=name, task=task), _inputs(tmp_path)
    launch = engine.render(plan, inputs, tmp_path / "run")
    assert launch == engine.render(plan, inputs, tmp_path / "run")
    assert launch.argv[0] == str(inputs.python)
    assert Path(launch.argv[1]).is_file()
    for file in launch.files:
        assert not file.is_absolute()
        assert ".." not in file.parts
    assert not (tmp_path / "run").exists()


def test_our_own_rows_need_no_network_and_a_hub_task_may_use_it(engine, name, tmp_path):
    own, hub = (
        engine.render(make_plan(engine=name, task=task), _inputs(tmp_path), tmp_path / "run")
        for task in ("data", "gsm8k")
    )
    assert own.env["HF_HUB_OFFLINE"] == own.env["HF_DATASETS_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in hub.env
    assert own.env["PYTHONUTF8"] == hub.env["PYTHONUTF8"] == "1"
    assert PurePosixPath("task/bakeoff_data.yaml") in own.files
    assert set(hub.files) == {PurePosixPath("job.json")}


def test_the_job_says_all_that_the_plan_says(engine, name, tmp_path):
    plan = make_plan(
        engine=name, num_fewshot=3, limit=7, batch_size=2, seed=9, precision="bf16",
        trust_remote_code=True,
    )  # fmt: skip
    launch = engine.render(plan, _inputs(tmp_path), tmp_path / "run")
    job = json.loads(launch.files[PurePosixPath("job.json")])
    for field in (
        "num_fewshot", "limit", "batch_size", "precision", "seed", "include_path", "task_data",
        "trust_remote_code",
    ):  # fmt: skip
        assert job[field] == getattr(plan, field)
    assert job["artefact_dir"] == str(tmp_path / "artefact")
    assert job["generation"] == {"max_gen_toks": 32}


def test_generation_settings_reach_the_harness_in_its_own_words(engine, name, tmp_path):
    plan = make_plan(engine=name, max_new_tokens=None, temperature=0.7, top_p=0.9, until=("\n",))
    job = json.loads(
        engine.render(plan, _inputs(tmp_path), tmp_path / "run").files[PurePosixPath("job.json")]
    )
    assert job["generation"] == {
        "do_sample": True, "temperature": 0.7, "top_p": 0.9, "until": ["\n"],
    }  # fmt: skip


def test_a_folder_in_which_nothing_happened_has_no_events_and_no_result(engine, tmp_path):
    assert list(engine.read_events(tmp_path)) == []
    with pytest.raises(FileNotFoundError):
        engine.read_result(tmp_path)


def test_a_line_that_is_still_being_written_is_left_for_the_next_reading(engine, tmp_path):
    whole = {"kind": "progress", "at": 1.0, "done": 1, "total": 2, "unit": "questions"}
    torn = '{"kind": "progr'
    (tmp_path / "events.jsonl").write_text(json.dumps(whole) + "\n" + torn, encoding="utf-8")
    assert list(engine.read_events(tmp_path)) == [
        ProgressEvent(at=1.0, done=1, total=2, unit="questions")
    ]


def test_the_result_is_read_as_it_was_written(engine, tmp_path):
    result = EvalResult(
        scores=(),
        effective={"a": 1},
        num_samples=0,
        num_generated_tokens=None,
        packages={},
        hardware={},
    )
    (tmp_path / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    assert engine.read_result(tmp_path) == result


def test_an_engine_is_known_without_its_training_stack(name):
    code = (
        "import sys; from bakeoff.evals import ENGINES; "
        f"ENGINES.get({name!r}); "
        "print([m for m in ('torch', 'transformers', 'datasets', 'lm_eval') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
