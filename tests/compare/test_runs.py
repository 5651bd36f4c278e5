import pytest
from tests.compare.factory import make_eval, make_samples, standard_study

from bakeoff.base.errors import UserError
from bakeoff.compare.runs import compare_runs
from bakeoff.compare.stats import paired_difference
from bakeoff.compare.verdict import format_sentence, verdict
from bakeoff.schema.comparison import Comparison


def _evals(study):
    return [record for record in study.records if record.kind == "eval"]


def test_every_run_is_held_against_the_first(tmp_path):
    study = standard_study(tmp_path)
    found = compare_runs(_evals(study), runs_dir=tmp_path, known=study.records)
    assert found.baseline_name == "base model"
    assert [(run.name, run.filter) for run in found.compared] == [
        ("LoRA", "strict-match"),
        ("LoRA", "flexible-extract"),
        ("full fine-tuning", "strict-match"),
        ("full fine-tuning", "flexible-extract"),
    ]
    assert found.holm_family == (2, 2)
    assert len(found.format_shares) == 2
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_the_baseline_is_whichever_run_comes_first(tmp_path):
    study = standard_study(tmp_path)
    base, lora, _ = _evals(study)
    forth = compare_runs([base, lora], runs_dir=tmp_path).compared[0]
    back = compare_runs([lora, base], runs_dir=tmp_path).compared[0]
    assert back.difference.difference == -forth.difference.difference
    assert "so it got worse" in back.verdict


def test_what_cannot_be_compared_is_refused_with_every_reason(tmp_path):
    study = standard_study(tmp_path)
    samples = make_samples([True] * 30, num_fewshot=5)
    other = study.add(make_eval("five", samples, num_fewshot=5), samples)
    with pytest.raises(UserError) as caught:
        compare_runs([_evals(study)[0], other], runs_dir=tmp_path)
    assert "0 in eval-base-d-0shot, 5 in five" in str(caught.value)
    assert "30 in common, 90 only in the first (120 items)" in str(caught.value)


def test_a_training_is_refused_with_its_evaluations_named(tmp_path):
    study = standard_study(tmp_path)
    base = study.records[0]
    with pytest.raises(UserError, match="is a training") as caught:
        compare_runs([base, study.records[1]], runs_dir=tmp_path, known=study.records)
    assert caught.value.hint == "its evaluations: eval-lora-d-0shot"


def test_one_run_or_one_run_twice_is_refused(tmp_path):
    base = standard_study(tmp_path).records[0]
    for runs in ([base], [base, base]):
        with pytest.raises(UserError, match="at least two different runs"):
            compare_runs(runs, runs_dir=tmp_path)


def test_trainings_that_saw_other_tokens_are_noted(tmp_path):
    study = standard_study(tmp_path)
    training = study.records[3]
    data = training.data.model_copy(update={"num_train_tokens": 50_000})
    known = [r if r is not training else r.model_copy(update={"data": data}) for r in study.records]
    _, lora, full = _evals(study)
    found = compare_runs([lora, full], runs_dir=tmp_path, known=known)
    assert any(
        "71234 in train-builtin-lora-s0, 50000 in" in note for note in found.compared[0].notes
    )


def test_what_an_evaluation_warned_of_is_passed_on(tmp_path):
    study = standard_study(tmp_path)
    base, lora, _ = _evals(study)
    cut = lora.model_copy(update={"warnings": ("31% of the answers were cut",)})
    found = compare_runs([base, cut], runs_dir=tmp_path)
    assert found.warnings == ("LoRA: 31% of the answers were cut",)


def test_a_clear_difference_in_one_sentence():
    difference = paired_difference([1] * 50 + [0] * 70, [1] * 1 + [0] * 119)
    low, high = difference.interval.low, difference.interval.high
    assert verdict(difference, names=("LoRA", "the base model")) == (
        "LoRA answers 41.7 % of 120 questions right, the base model 0.8 %: +40.8 points (95 % "
        f"interval {100 * low:.1f} to {100 * high:.1f}, p < 0.001); with one seed this compares "
        "two checkpoints, not two methods."
    )


def test_an_undecided_difference_says_what_would_decide_it():
    difference = paired_difference([1] * 12 + [0] * 108, [0] * 12 + [1] * 8 + [0] * 100)
    text = verdict(difference, names=("full fine-tuning", "LoRA"), p_adjusted=0.5, num_tests=3)
    assert text.startswith(
        "Full fine-tuning answers 10.0 % of 120 questions right, LoRA 6.7 %: +3.3"
    )
    assert "p = 0.50, corrected for 3 tests), which may be chance" in text
    # 2.8016 * sqrt(20 / 120 / 120) = 10.4 points; 2.8016^2 * (20 / 120) / (4 / 120)^2 = 1,178
    assert text.endswith(
        "This test could have shown a difference of 10.4 points or more; about 1,200 questions, "
        "1,080 more, would decide one of the size seen."
    )


def test_too_few_questions_say_so():
    text = verdict(paired_difference([1, 0], [0, 0]), names=("LoRA", "the base model"))
    assert text.endswith("So few questions cannot show any difference.")


@pytest.mark.parametrize(
    ("strict", "flexible", "words"),
    [
        (0.408, 0.125, "28.3 points of the gain are form only, at most 12.5 are better answers"),
        (0.2, 0.2, "none of the gain is form only"),
        (0.2, -0.03, "all of the gain is form, not better answers"),
        (-0.1, 0.0, "changes by -10.0 points"),
    ],
)
def test_form_and_substance_in_words(strict, flexible, words):
    assert words in format_sentence("LoRA", strict, flexible)
