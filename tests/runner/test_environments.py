"""Studies over frameworks in environments of their own."""

import json
import sys

from tests.command import bakeoff

RECIPE = """
name: envs
model: {model}
data: {{source: {data}, num_validation: 0}}
backend: [swift, builtin]
device: cpu
train: {{precision: fp32, batch_size: 8, max_steps: 1}}
lora: {{rank: 2}}
evaluate: {{max_new_tokens: 4, precision: fp32, limit: 2, base: false}}
env: {{{name}: {python}}}
"""


def _write(folder, model, data, *, name="swift", python=sys.executable):
    path = folder / "recipe.yaml"
    values = {"model": str(model), "data": str(data), "python": str(python)}
    quoted = {key: json.dumps(value) for key, value in values.items()}
    path.write_text(RECIPE.format(name=name, **quoted), encoding="utf-8")
    return path


def test_a_framework_whose_environment_is_of_no_use_does_not_stop_the_others(
    tmp_path, tiny_model, tiny_data
):
    recipe = _write(tmp_path, tiny_model, tiny_data)
    done = bakeoff(tmp_path, "run", recipe, expect=1)
    assert "does not hold ms-swift" in done.stderr
    assert "let `bakeoff env install swift` make an environment" in done.stderr
    records = json.loads(bakeoff(tmp_path, "results", "--json").stdout)
    assert [(r["kind"], r["cell"]["backend"], r["status"]) for r in records] == [
        ("train", "builtin", "finished"),
        ("eval", "builtin", "finished"),
    ]


def test_an_unknown_environment_is_named_with_its_line(tmp_path, tiny_model, tiny_data):
    recipe = _write(tmp_path, tiny_model, tiny_data, name="swft")
    done = bakeoff(tmp_path, "plan", recipe, expect=2)
    assert "recipe.yaml:10:" in done.stderr
    assert "there is no environment `swft`; there are llamacpp, llamafactory, swift" in done.stderr


def test_a_plan_shows_the_environment_and_a_named_one_makes_another_training(
    tmp_path, tiny_model, tiny_data
):
    recipe = _write(tmp_path, tiny_model, tiny_data)

    def trainings(*options):
        steps = json.loads(bakeoff(tmp_path, "plan", recipe, "--json", *options).stdout)["steps"]
        names = [step["name"] for step in steps if step["kind"] == "environment"]
        return len(names), {s["backend"]: s["id"] for s in steps if s["kind"] == "train"}

    (number, given), (same, own) = trainings(), trainings("--set", "env=null")
    assert (number, same) == (1, 1)
    assert given["swift"] != own["swift"]
    assert given["builtin"] == own["builtin"]


def test_a_setting_that_the_framework_does_not_know_is_refused_before_anything_starts(
    tmp_path, tiny_model, tiny_data
):
    recipe = _write(tmp_path, tiny_model, tiny_data)
    asked = ("--set", "extra={swift: {neftune_noise_alpah: 5}}", "--set", "env=null")
    done = bakeoff(tmp_path, "plan", recipe, *asked, expect=2)
    assert "`extra.swift.neftune_noise_alpah`: swift has no setting" in done.stderr
    assert "did you mean `neftune_noise_alpha`?" in done.stderr
    # Another version, named by the person, may know it.
    bakeoff(tmp_path, "plan", recipe, *asked[:2])
