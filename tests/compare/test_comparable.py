import pytest
from tests.compare.factory import make_eval, make_samples, make_scores, make_train

from bakeoff.compare.comparable import notes, why_not_comparable

RIGHT = [True, False] * 60


def _reasons(a, b, samples_a, samples_b):
    return why_not_comparable(a, b, samples_a, samples_b)


def test_two_models_asked_the_same_are_comparable():
    a, b = make_samples(RIGHT), make_samples(RIGHT[::-1])
    assert _reasons(make_eval("a", a), make_eval("b", b), a, b) == []


def test_items_in_another_order_are_the_same_items():
    a, b = make_samples(RIGHT), make_samples(RIGHT)[::-1]
    assert _reasons(make_eval("a", a), make_eval("b", b), a, b) == []


def test_other_test_items_are_refused_with_their_number():
    a, b = make_samples(RIGHT), make_samples(RIGHT[:100], offset=40)
    assert _reasons(make_eval("a", a), make_eval("b", b), a, b) == [
        "The test items differ: 80 in common, 40 only in the first (120 items), 20 only in the "
        "second (100 items)."
    ]


def test_a_question_asked_twice_counts_twice():
    a = make_samples(RIGHT[:3])
    b = [*a, a[0]]
    assert (
        "1 only in the second (4 items)" in _reasons(make_eval("a", a), make_eval("b", b), a, b)[0]
    )


def test_other_prompts_are_refused():
    a = make_samples(RIGHT)
    b = [s.model_copy(update={"prompt_digest": "other"}) if s.index < 7 else s for s in a]
    (reason,) = _reasons(make_eval("a", a), make_eval("b", b), a, b)
    assert reason.startswith("The prompts differ for 7 of the 120 items")


def test_other_few_shot_counts_are_refused_once_and_not_as_other_prompts_too():
    a, b = make_samples(RIGHT), make_samples(RIGHT, num_fewshot=5)
    reasons = _reasons(make_eval("a", a), make_eval("b", b, num_fewshot=5), a, b)
    assert reasons == ["The number of examples in the prompt differs: 0 in a, 5 in b."]


def test_another_task_and_another_way_of_scoring_are_refused():
    a = make_samples(RIGHT)
    scores = [s.model_copy(update={"metric": "acc", "filter": "none"}) for s in make_scores(a)[:1]]
    other = make_eval("b", a, scores=tuple(s.model_copy(update={"task": "gsm8k"}) for s in scores))
    assert _reasons(make_eval("a", a), other, a, a) == [
        "The task differs: data in a, gsm8k in b.",
        "The way of scoring differs: exact_match by flexible-extract, exact_match by strict-match "
        "in a, acc by none in b.",
    ]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("max_new_tokens", 256, "The limit of new tokens differs: 96 in a, 256 in b."),
        ("precision", "fp32", "The number format differs: bf16 in a, fp32 in b."),
    ],
)
def test_other_settings_of_the_evaluation_are_refused(key, value, reason):
    a = make_samples(RIGHT)
    one = make_eval("a", a)
    other = make_eval("b", a, effective={**one.effective, key: value})
    assert _reasons(one, other, a, a) == [reason]


def test_a_setting_that_one_record_does_not_tell_is_no_reason():
    a = make_samples(RIGHT)
    one = make_eval("a", a)
    assert _reasons(one, make_eval("b", a, effective={}), a, a) == []


def test_another_engine_is_refused():
    a = make_samples(RIGHT)
    scores = tuple(score.model_copy(update={"engine": "vllm"}) for score in make_scores(a))
    reasons = _reasons(make_eval("a", a), make_eval("b", a, scores=scores), a, a)
    assert reasons == ["The engine differs: hf in a, vllm in b."]


def test_a_training_and_an_unfinished_run_are_refused():
    a = make_samples(RIGHT)
    dead = make_eval("b", [*a], status="out_of_memory", scores=())
    assert _reasons(make_eval("a", a), dead, a, []) == ["Run b did not finish (out of memory)."]
    assert "Run t is a training" in _reasons(make_train("t"), make_eval("a", a), [], a)[0]
    assert "trainings" in _reasons(make_train("t"), make_train("u"), [], [])[0]


def test_what_does_not_forbid_comparing_is_noted():
    a = make_samples(RIGHT)
    one = make_eval("a", a)
    assert notes(one, one) == []
    other = make_eval("b", a, effective={**one.effective, "batch_size": 64})
    assert notes(one, other) == ["The batch size differs: 16 in a, 64 in b."]
    short = make_train("u")
    short = short.model_copy(update={"data": short.data.model_copy(update={"num_train_tokens": 9})})
    assert notes(make_train("t"), short) == [
        "The number of training tokens differs: 71234 in t, 9 in u."
    ]
