"""A study in a chat template: trained and asked in the same text, and redone when it changes."""

import json

from tests.command import bakeoff
from tests.data.test_chat_template import INST

RECIPE = """
name: chat
model: {model}
data: {{source: {data}, num_validation: 0}}
prompt: {{template: 我的.jinja}}
device: cpu
train: {{precision: fp32, batch_size: 8, max_steps: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32, limit: 2, num_fewshot: [0, 1], base: false}}
"""


def test_a_template_in_a_file_is_trained_and_asked_and_its_text_counts(
    tmp_path, tiny_model, tiny_data
):
    recipe, template = tmp_path / "recipe.yaml", tmp_path / "我的.jinja"
    values = {"model": json.dumps(str(tiny_model)), "data": json.dumps(str(tiny_data))}
    recipe.write_text(RECIPE.format(**values), encoding="utf-8")
    template.write_text(INST, encoding="utf-8")
    bakeoff(tmp_path, "run", recipe)
    records = json.loads(bakeoff(tmp_path, "results", "--json").stdout)
    assert [record["status"] for record in records] == ["finished"] * 3
    for record in records:
        if record["kind"] == "eval":
            samples = tmp_path / "runs" / record["run_id"] / "samples.jsonl"
            first = json.loads(samples.read_text(encoding="utf-8").splitlines()[0])
            assert first["prompt"].startswith("[INST] ")
            assert first["prompt"].endswith(" [/INST]")
    template.write_text(INST.replace("INST", "ASK"), encoding="utf-8")
    plan = json.loads(bakeoff(tmp_path, "plan", recipe, "--json").stdout)
    assert {step["done"] for step in plan["steps"] if step["kind"] != "model"} == {False}

    template.unlink()
    missing = bakeoff(tmp_path, "plan", recipe, expect=2)
    assert "recipe.yaml:5:" in missing.stderr
    assert "`prompt.template`: there is no file" in missing.stderr
