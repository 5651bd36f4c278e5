"""`bakeoff parity`: short trainings, watched from inside."""

import json
import sys

import pytest
from tests.backends.environments import interpreter
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


def test_a_trainer_whose_environment_is_of_no_use_is_told_and_the_others_are_compared(
    tmp_path, tiny_model, tiny_data
):
    recipe = tmp_path / "recipe.yaml"
    values = {"model": json.dumps(str(tiny_model)), "data": json.dumps(str(tiny_data))}
    text = RECIPE.format(**values) + f"env: {{swift: {json.dumps(sys.executable)}}}\n"
    recipe.write_text(text, encoding="utf-8")
    done = bakeoff(tmp_path, "parity", recipe, "--backends", "builtin,swift", "--steps", "1",
                   "--set", "method=lora", expect=1)  # fmt: skip
    assert "failed: swift: " in done.stdout
    assert "does not hold ms-swift" in done.stdout.replace("\n", " ")


ALL = (
    RECIPE
    + """
backend: [builtin, llamafactory, swift]
env: {{llamafactory: {llamafactory}, swift: {swift}}}
"""
)


@pytest.fixture
def three(tmp_path, tiny_model, tiny_data):
    """A recipe for the three trainers."""
    recipe = tmp_path / "recipe.yaml"
    values = {"model": tiny_model, "data": tiny_data}
    values |= {name: interpreter(name) for name in ("llamafactory", "swift")}
    text = ALL.format(**{name: json.dumps(str(value)) for name, value in values.items()})
    recipe.write_text(text, encoding="utf-8")
    return recipe


@pytest.mark.slow
def test_all_trainers_do_the_same_work_in_every_precision(tmp_path, three):
    done = bakeoff(tmp_path, "parity", three, "--steps", "2", "--json",
                   "--set", "train.precision=[fp32, bf16]")  # fmt: skip
    parity = json.loads(done.stdout)
    assert parity["backends"] == ["builtin", "llamafactory", "swift"]
    assert (parity["tokens_equal"], parity["labels_equal"]) == (True, True)
    for cell in parity["cells"]:
        assert cell["failed"] == {}
        touching = [found for found in cell["differences"] if found["affects"] == "result"]
        assert touching == [], cell["cell"]
        reference = cell["step0_loss"].pop("reference")
        if cell["cell"]["train.precision"] == "fp32":
            for loss in cell["step0_loss"].values():
                assert abs(loss / reference - 1) < 1e-3


@pytest.mark.slow
def test_loss_curves_of_all_trainers_overlap_within_the_noise_of_three_seeds(tmp_path, three):
    done = bakeoff(tmp_path, "parity", three, "--steps", "4", "--seeds", "3", "--json",
                   "--set", "method=lora", "--set", "train.learning_rate=1e-2")  # fmt: skip
    (cell,) = json.loads(done.stdout)["cells"]
    assert {name: len(curves) for name, curves in cell["losses"].items()} == {
        "builtin": 3, "llamafactory": 3, "swift": 3,
    }  # fmt: skip
    assert [found for found in cell["differences"] if found["affects"] == "result"] == []
