"""`bakeoff eval`, `bakeoff eval init` and `bakeoff samples`, as a person types them."""

import json

import pytest
from tests.command import bakeoff
from tests.runner.test_study import _write_recipe


def _json(done):
    return json.loads(done.stdout)


def test_a_model_is_scored_without_a_recipe_and_a_study_finds_it(tmp_path, tiny_model, tiny_data):
    asked = (
        "eval", tiny_model, "--data", tiny_data, "--num-fewshot", 1, "--limit", 3,
        "--max-new-tokens", 4, "--set", "evaluate.precision=fp32", "--set", "device=cpu",
        "--set", "data.num_validation=4",
    )  # fmt: skip
    first = _json(bakeoff(tmp_path, *asked, "--json"))
    assert [(r["status"], len(r["scores"]), r["scores"][0]["num_fewshot"]) for r in first] == [
        ("finished", 2, 1),
    ]
    again = bakeoff(tmp_path, *asked)
    assert "Nothing was run" in again.stderr
    assert "flexible-extract" in again.stdout
    # A study that asks the same of the same model has nothing left to ask of it.
    recipe = _write_recipe(tmp_path, tiny_model, tiny_data, method="lora")
    overrides = ("--set", "evaluate.num_fewshot=1", "--set", "evaluate.limit=3")
    steps = _json(bakeoff(tmp_path, "plan", recipe, *overrides, "--json"))["steps"]
    done = {step["id"]: step["done"] for step in steps if step["kind"] == "eval"}
    assert [done.get(record["run_id"].rpartition("-")[2]) for record in first] == [True]
    shown = _json(bakeoff(tmp_path, "samples", first[0]["run_id"], "--wrong", "--json"))
    assert [sample["index"] for sample in shown] == [0, 1, 2]
    assert {"prompt", "output", "extracted", "target", "stop_reason", "seconds"} <= set(shown[0])
    text = bakeoff(tmp_path, "samples", first[0]["run_id"], "--limit", 1).stdout
    assert "1 of 3 answers, scored by exact_match,strict-match" in text
    assert "4 tokens, cut at the token limit" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to ask"),
        (["--tasks", "gsm8k", "--adapter", "nowhere"], "there is no folder nowhere"),
        (["--tasks", "gsm8k", "--num-fewshot", "some"], "expected whole numbers such as 0,1,5"),
        (["--tasks", "gsm8k", "--data", "nowhere"], "there is no folder"),
        (["--tasks", "a*"], "is not the name of a task"),
        (["--tasks", "gsm8k", "--batch-size", "many"], "`evaluate.batch_size`"),
    ],
)
def test_a_mistake_is_one_clear_message(tmp_path, tiny_model, arguments, message):
    assert message in bakeoff(tmp_path, "eval", tiny_model, *arguments, expect=2).stderr


def test_a_task_file_is_written_for_questions_and_answers(tmp_path, tiny_data):
    done = bakeoff(tmp_path, "eval", "init", tiny_data, "-o", "mine.yaml", "--num-fewshot", 1)
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert "the number after `####`" in done.stderr
    assert "task: mine" in text
    assert 'doc_to_text: "Question: {{question}}\\nAnswer:"' in text
    assert (
        "already"
        in bakeoff(tmp_path, "eval", "init", tiny_data, "-o", "mine.yaml", expect=2).stderr
    )
