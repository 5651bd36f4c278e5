"""`bakeoff parity`: short trainings, watched from inside."""

import json

from tests.command import bakeoff

RECIPE = """
name: same
model: {model}
data: {{source: {data}, num_validation: 0}}
device: cpu
method: [lora, full]
train: {{precision: fp32, batch_size: 2, gradient_accumulation: 2, weight_decay: 0.1}}
lora: {{rank: 2}}
"""


def test_the_built_in_trainer_meets_a_plain_forward_pass(tmp_path, tiny_model, tiny_data):
    recipe = tmp_path / "recipe.yaml"
    values = {"model": json.dumps(str(tiny_model)), "data": json.dumps(str(tiny_data))}
    recipe.write_text(RECIPE.format(**values), encoding="utf-8")
    done = bakeoff(tmp_path, "parity", recipe, "--steps", "2", "--strict", "--json")
    parity = json.loads(done.stdout)
    assert (parity["tokens_equal"], parity["labels_equal"]) == (True, True)
    assert parity["differences"] == []
    assert [cell["cell"]["method"] for cell in parity["cells"]] == ["lora", "full"]
    for cell in parity["cells"]:
        losses = cell["step0_loss"]
        assert abs(losses["builtin"] / losses["reference"] - 1) < 1e-5
        assert len(cell["num_tokens"]["builtin"]) == 2
    assert not (tmp_path / "runs" / "index.sqlite").exists(), "a probe is no result"
    shown = bakeoff(tmp_path, "parity", recipe, "--steps", "1", "--set", "method=lora").stdout
    assert "loss before the first step" in shown
    assert "equal token ids and labels" in shown
