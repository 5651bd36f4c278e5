"""Runs against published scores."""

import pytest
from tests.compare.factory import make_eval, make_provenance, make_samples, make_scores

from bakeoff.base.errors import UserError
from bakeoff.compare.references import (
    against_references,
    newcombe_interval,
    read_references,
)


def _run(num_right, *, num_items=1319, source="Qwen/Qwen2.5-1.5B", num_fewshot=5, **changes):
    samples = make_samples([i < num_right for i in range(num_items)])
    return make_eval(
        "eval-base-gsm8k",
        samples,
        scores=make_scores(samples, num_fewshot, "gsm8k"),
        provenance=make_provenance(model_source=source),
        effective={"asked_as": "raw", **changes},
    )


def test_the_shipped_file_holds_the_known_numbers():
    found = {(r.model, r.num_fewshot, r.filter): r.value for r in read_references()}
    assert found["Qwen/Qwen2.5-1.5B", 5, "flexible-extract"] == 0.6224
    assert found["Qwen/Qwen2.5-1.5B", 5, "strict-match"] == 0.6179
    assert found["Qwen/Qwen2.5-1.5B", 1, "flexible-extract"] == 0.2123
    assert found["Qwen/Qwen2.5-1.5B", 1, "strict-match"] == 0.0045


def test_a_run_that_scores_alike_agrees_within_chance():
    strict, flexible = against_references([_run(815)], read_references())
    assert strict.reference.value == 0.6179
    assert strict.difference == pytest.approx(815 / 1319 - 0.6179)
    # As the harness computes it: sqrt(0.6179 * 0.3821 / 1318)
    assert strict.reference_stderr == pytest.approx(0.01338, abs=1e-5)
    assert strict.interval.low < 0 < strict.interval.high
    assert strict.verdict.endswith("which chance explains.")
    assert (strict.differing, flexible.differing) == ((), ())


def test_another_model_other_items_and_settings_are_named():
    run = _run(2, num_items=200, source="builtin:smollm2-135m", asked_as="chat")
    held = against_references([run], read_references())
    (first,) = [h for h in held if h.reference.value == 0.6179]
    assert first.verdict.endswith("more than chance explains; it was measured otherwise.")
    assert first.differing == (
        "another model: builtin:smollm2-135m here, Qwen/Qwen2.5-1.5B there",
        "200 items here, 1319 there",
        "`asked_as` is chat here, raw there",
    )


def test_the_own_model_goes_before_others_however_its_folder_is_called():
    held = against_references([_run(815, source="/models/Qwen2.5-1.5B")], read_references())
    assert {h.reference.model for h in held} == {"Qwen/Qwen2.5-1.5B"}


def test_where_nothing_is_published_the_known_ones_are_named():
    with pytest.raises(UserError, match="no published score") as caught:
        against_references([_run(1, num_fewshot=3)], read_references())
    assert "gsm8k 5-shot (Qwen/Qwen2.5-1.5B)" in caught.value.hint


def test_a_file_of_ones_own_is_read_or_refused(tmp_path):
    (tmp_path / "own.json").write_text('[{"model": "x"}]', encoding="utf-8")
    with pytest.raises(UserError, match="not a list of published scores"):
        read_references(tmp_path / "own.json")


def test_the_interval_is_that_of_statsmodels_and_four_items_prove_nothing():
    from statsmodels.stats.proportion import confint_proportions_2indep

    found = newcombe_interval((0.4, 200), (0.6, 1000))
    expected = confint_proportions_2indep(80, 200, 600, 1000, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx(expected)
    few = against_references([_run(0, num_items=4, num_fewshot=1)], read_references())
    assert few[0].interval.low < 0 < few[0].interval.high
    assert few[0].p_value == pytest.approx(1.0)
    assert few[0].verdict.endswith("which chance explains.")
