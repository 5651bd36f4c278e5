"""Using what a training made: merged into one checkpoint, talked with in the terminal."""

import json
import subprocess

import pytest
from tests.command import bakeoff, command, environment

from bakeoff.base.errors import UserError
from bakeoff.runner.use_model import trained_model
from bakeoff.store.runs import Store

RECIPE = """\
name: small
model: {model}
data: {{source: {data}, num_validation: 2, num_test: 2}}
method: [lora, full]
device: cpu
train: {{max_steps: 2, batch_size: 2, precision: fp32}}
evaluate: {{max_new_tokens: 4}}
"""


@pytest.mark.slow
def test_a_trained_model_is_merged_and_talked_with(tmp_path, tiny_model, tiny_data):
    text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
    (tmp_path / "small.yaml").write_text(text.replace("", ""), encoding="utf-8")
    bakeoff(tmp_path, "run", "small.yaml", "--yes")
    store = Store(tmp_path / "runs")
    lora, full = (
        next(r.run_id for r in store.records() if r.run_id.startswith(f"train-builtin-{method}"))
        for method in ("lora", "full")
    )
    done = bakeoff(tmp_path, "merge", lora, "-o", "merged", "--json")
    facts = json.loads(done.stdout)
    assert facts["run"] == lora
    assert facts["relative_difference"] < 1e-3
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    assert "exists already" in bakeoff(tmp_path, "merge", lora, "-o", "merged", expect=2).stderr
    assert "nothing to merge" in bakeoff(tmp_path, "merge", full, "-o", "x", expect=2).stderr
    talk = subprocess.run(
        command("chat", lora, "--max-new-tokens", "5"),
        cwd=tmp_path, env=environment(tmp_path), input="Tom has 3 apples.\n\n再问一次\n",
        capture_output=True, encoding="utf-8", timeout=240, check=False,
    )  # fmt: skip
    assert talk.returncode == 0, talk.stderr
    assert talk.stdout.count("\n\n") >= 2
    assert "a new conversation" in talk.stderr


def test_a_run_without_a_model_is_told_so(tmp_path):
    from tests.dashboard.planned import planned_study

    study = planned_study(tmp_path / "runs", num_items=10)
    store = Store(study.runs_dir)
    base = next(r for r in study.records if r.kind == "eval" and not r.parent_run_id)
    with pytest.raises(UserError, match="untouched model"):
        trained_model(store, base.run_id)
    with pytest.raises(UserError, match="made is not at"):
        trained_model(store, next(r.run_id for r in study.records if r.kind == "train"))
