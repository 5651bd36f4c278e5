"""`bakeoff simulate` and `bakeoff bench simulate`."""

import json

import pytest
from tests.command import bakeoff

RECIPE = """
name: many
model: Qwen/Qwen2.5-1.5B
data: {source: openai/gsm8k, subset: main}
backend: builtin
method: [lora, full]
train: {batch_size: 4, gradient_accumulation: 4, max_length: 1024}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _json(tmp_path, *arguments):
    return json.loads(bakeoff(tmp_path, *arguments, "--json").stdout)


def test_every_strategy_is_simulated_on_every_number_of_devices(tmp_path, recipe):
    found = _json(
        tmp_path, "simulate", recipe, "--gpu", "a100-80gb", "--devices", "1,8,1024",
        "--set", "method=full",
    )  # fmt: skip
    assert found["kind"] == "prediction"
    (training,) = found["trainings"]
    steps = training["steps"]
    assert {step["strategy"] for step in steps} == {
        "single", "ddp", "fsdp", "zero1", "zero2", "zero3", "zero2-offload", "zero3-offload",
    }  # fmt: skip
    assert {step["num_devices"] for step in steps} == {1, 8, 1024}
    weak = [s for s in steps if s["scaling"] == "weak" and s["strategy"] == "ddp"]
    strong = [s for s in steps if s["scaling"] == "strong" and s["strategy"] == "ddp"]
    assert [step["rows_per_step"] for step in weak] == [8 * 16, 1024 * 16]
    assert [step["rows_per_step"] for step in strong] == [16, 16]
    assert strong[-1]["efficiency"] < 0.05
    assert weak[-1]["efficiency"] > 0.8


def test_one_device_needs_what_fit_says(tmp_path, recipe):
    arguments = ("--gpu", "rtx4090-24gb")
    fitted = _json(tmp_path, "fit", recipe, *arguments, "--quick")["runs"]
    simulated = _json(tmp_path, "simulate", recipe, *arguments, "--devices", "1")["trainings"]
    assert [run["prediction"]["process_bytes"] for run in fitted] == [
        next(step["needed_bytes"] for step in one["steps"] if step["strategy"] == "single")
        for one in simulated
    ]


def test_a_model_that_one_device_cannot_hold_is_held_against_the_fewest_that_can(tmp_path, recipe):
    found = _json(
        tmp_path, "simulate", recipe, "--gpu", "rtx4090-24gb", "--devices", "1,2,4,8,64",
        "--per-node", "8", "--strategies", "ddp,zero3", "--set", "method=full", "--set",
        "model=Qwen/Qwen2.5-7B", "--scaling", "weak", "--set", "train.batch_size=1",
    )  # fmt: skip
    (training,) = found["trainings"]
    assert training["reference"]["weak"].startswith("zero3 on ")
    assert not any(step["fits"] for step in training["steps"] if step["strategy"] == "ddp")


def test_a_page_with_pictures_is_written(tmp_path, recipe):
    found = _json(
        tmp_path, "simulate", recipe, "--gpu", "a100-80gb", "--devices", "1,16", "-o", "page",
        "--set", "method=full",
    )  # fmt: skip
    (training,) = found["trainings"]
    text = (tmp_path / "page" / "report.md").read_text(encoding="utf-8")
    assert "every number here is predicted" in text
    assert training["advice"]["weak"].replace("`", "") in text.replace("`", "")
    pictures = sorted(path.name for path in (tmp_path / "page" / "figures").iterdir())
    assert pictures == [
        f"{what}-{scaling}-0.png"
        for what in ("efficiency", "memory")
        for scaling in ("strong", "weak")
    ]
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4
    assert "Memory of a device (predicted)" in page


def test_the_terminal_says_that_it_predicts_and_what_it_assumes(tmp_path, recipe):
    text = bakeoff(
        tmp_path, "simulate", recipe, "--gpu", "a100-80gb", "--devices", "1,16", "--mfu", "0.4",
        "--set", "method=full",
    ).stdout  # fmt: skip
    assert "predicted, nothing was run" in text
    assert text.count("Predicted: ") == 2
    assert "40 % of 312 TFLOP/s" in text
    assert "NVLink 3" in text


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--gpu", "a100-80gb", "--devices", "0"), "1,8,64"),
        (("--gpu", "a100-80gb", "--devices", "2048"), "1024"),
        (("--gpu", "a100-80gb", "--between", "ib-201"), "ib-200"),
        (("--gpu", "a100-80gb", "--strategies", "zero4"), "zero"),
        (("--gpu", "a100-80gb", "--scaling", "huge"), "weak"),
        ((), "--gpu a100-80gb"),
    ],
)
def test_mistakes_say_what_to_write(tmp_path, recipe, arguments, hint):
    assert hint in bakeoff(tmp_path, "simulate", recipe, *arguments, expect=2).stderr


def test_links_and_scores_are_listed(tmp_path):
    links = _json(tmp_path, "simulate", "--list-links")
    assert {"nvlink4", "ib-400", "eth-25", "pcie4"} <= {link["key"] for link in links}
    assert "NVLink 4" in bakeoff(tmp_path, "simulate", "--list-links").stdout
    scores = _json(tmp_path, "bench", "simulate")
    assert scores["bench"] == "simulate"
    assert "median error" in bakeoff(tmp_path, "bench", "simulate").stdout
