"""`bakeoff bench eval` as a person runs it."""

import json

import pytest
from tests.command import bakeoff

from bakeoff.schema.bench import Bench


@pytest.mark.slow
def test_engines_are_asked_the_same_questions_and_compared_at_their_best(
    tmp_path, tiny_model, tiny_data
):
    done = bakeoff(
        tmp_path, "bench", "eval", "--model", tiny_model, "--data", tiny_data, "--questions", 4,
        "--num-fewshot", 1, "--max-new-tokens", 8, "--batch-sizes", "2,4", "--precision", "fp32",
        "--device", "cpu", "--json",
    )  # fmt: skip
    found = Bench.model_validate(json.loads(done.stdout))
    assert [cell.engine for cell in found.cells] == ["builtin", "hf"]
    builtin, hf = found.cells
    assert builtin.digest == hf.digest
    assert builtin.facts["num_generated_tokens"] == hf.facts["num_generated_tokens"] > 0
    assert builtin.scores == hf.scores
    (ratio,) = found.ratios
    assert (ratio.of, ratio.to, ratio.refused) == ("builtin", "hf", None)
    assert ratio.time.median > 0
    assert ratio.same_text_share == 1.0
    assert len([note for note in found.notes if "time by rows at a time" in note]) == 2


def test_a_mistake_is_said_before_anything_is_written(tmp_path):
    done = bakeoff(tmp_path, "bench", "eval", "--batch-sizes", "8,some", expect=2)
    assert "--batch-sizes 8,some: expected whole numbers above 0" in done.stderr
    done = bakeoff(tmp_path, "bench", "eval", "--engines", "vlm", expect=2)
    assert "vlm" in done.stderr
    assert not (tmp_path / "runs").exists()
