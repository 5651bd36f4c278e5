"""As good as another, within a margin: two one-sided tests."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired
from tests.compare.factory import StudyOnDisk, make_eval, make_samples, make_train

from bakeoff.compare.equivalence import equivalence, equivalence_sentence
from bakeoff.compare.runs import compare_runs
from bakeoff.compare.stats import paired_difference


def _answers(num_items=1000, share=0.6, differing=0.1, seed=0):
    rng = np.random.default_rng(seed)
    baseline = (rng.random(num_items) < share).astype(int)
    model = np.where(rng.random(num_items) < differing, 1 - baseline, baseline)
    return model.tolist(), baseline.tolist()


@pytest.mark.parametrize("margin", [0.01, 0.03, 0.08])
def test_the_p_value_is_that_of_statsmodels(margin):
    model, baseline = _answers()
    found = equivalence(paired_difference(model, baseline), margin)
    expected = ttost_paired(np.array(model), np.array(baseline), -margin, margin)[0]
    assert found.p_value == pytest.approx(expected)
    # Equal to: the 90 % interval lies within the margin.
    assert (found.p_value < 0.05) == (-margin < found.low and found.high < margin)


def _study(tmp_path, shares):
    study = StudyOnDisk(tmp_path)
    rng = np.random.default_rng(1)
    first = rng.random(600) < 0.5
    for number, differing in enumerate(shares):
        training = study.add(make_train(f"train-{number}", method=("lora", "full")[number % 2]))
        right = np.where(rng.random(600) < differing, ~first, first)
        samples = make_samples(right.tolist())
        study.add(make_eval(f"eval-{number}", samples, parent=training), samples)
    return [record for record in study.records if record.kind == "eval"]


def test_compare_says_whether_a_model_is_as_good_within_the_margin(tmp_path):
    records = _study(tmp_path, [0.0, 0.05])
    near = compare_runs(records, runs_dir=tmp_path, margin=0.05).compared[0]
    assert near.equivalence.is_equivalent
    text = equivalence_sentence(near.name, "the base model", near.equivalence)
    assert text.startswith(
        "Within 5.0 points full fine-tuning and the base model are equally good ("
    )
    too_near = compare_runs(records, runs_dir=tmp_path, margin=0.001).compared[0]
    assert not too_near.equivalence.is_equivalent
    text = equivalence_sentence("full", "LoRA", too_near.equivalence)
    assert text.startswith("It is not shown that full and LoRA are equally good within 0.1 points")
    assert compare_runs(records, runs_dir=tmp_path).compared[0].equivalence is None


def test_equal_answers_have_no_error_and_so_no_test():
    assert equivalence(paired_difference([1, 0, 1], [1, 0, 1]), 0.1) is None
