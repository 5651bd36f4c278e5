import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from bakeoff.compare.stats import (
    hierarchical_interval,
    holm,
    mcnemar_p,
    num_items_to_decide,
    paired_difference,
    smallest_detectable,
    wilson_interval,
)

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)
GRADED = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def _split(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


def _vectors(wins, losses, both, neither):
    model = [1] * wins + [0] * losses + [1] * both + [0] * neither
    baseline = [0] * wins + [1] * losses + [1] * both + [0] * neither
    return model, baseline


def test_the_worked_example_of_a_gain_of_forty_points():
    found = paired_difference(*_vectors(wins=49, losses=0, both=1, neither=70))
    assert found.model_mean == pytest.approx(50 / 120)
    assert found.baseline_mean == pytest.approx(1 / 120)
    assert found.difference == pytest.approx(49 / 120)
    # sqrt((mean of squares - square of mean) / (n - 1)), by hand
    assert found.standard_error == pytest.approx(math.sqrt((49 / 120 - (49 / 120) ** 2) / 119))
    assert (found.num_only_model_right, found.num_only_baseline_right) == (49, 0)
    assert found.p_value == pytest.approx(2 * 0.5**49)
    assert found.interval.method == "bca"
    assert found.interval.low == pytest.approx(0.32, abs=0.02)
    assert found.interval.high == pytest.approx(0.50, abs=0.02)


def test_the_bootstrap_agrees_with_scipy_on_the_two_vectors_themselves():
    rng = np.random.default_rng(3)
    model, baseline = rng.random(200) < 0.6, rng.random(200) < 0.45
    ours = paired_difference(model.astype(int).tolist(), baseline.astype(int).tolist()).interval
    theirs = scipy_stats.bootstrap(
        (model.astype(float), baseline.astype(float)),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        paired=True,
        method="BCa",
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.011)


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 0, 1.0), (6, 0, 0.03125), (5, 0, 0.0625), (8, 1, 0.0390625)],
)
def test_mcnemar_counts_by_hand(b, c, p):
    assert mcnemar_p(b, c) == pytest.approx(p)
    assert mcnemar_p(b, c) == pytest.approx(mcnemar([[3, b], [c, 9]], exact=True).pvalue)


def test_graded_scores_get_a_paired_t_test():
    model, baseline = [0.9, 0.5, 0.4, 0.7], [0.1, 0.5, 0.2, 0.8]
    found = paired_difference(model, baseline)
    assert found.test == "paired t"
    assert found.p_value == pytest.approx(scipy_stats.ttest_rel(model, baseline).pvalue)
    assert found.num_only_model_right is None


def test_no_disagreement_is_no_proof_of_equality():
    found = paired_difference([1] * 60 + [0] * 40, [1] * 60 + [0] * 40)
    assert (found.difference, found.p_value, found.standard_error) == (0, 1, 0)
    # The rule of three's exact form: at most 1 - 0.025^(1/100) of all items can differ.
    assert found.interval.high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert found.interval.low == -found.interval.high
    assert found.interval.method == "exact"
    assert found.num_items_to_decide is None


def test_all_items_won_is_not_certain_either():
    found = paired_difference([1] * 50, [0] * 50)
    assert found.interval.high == 1
    assert found.interval.low == pytest.approx(1 - 2 * (1 - 0.025 ** (1 / 50)))
    assert paired_difference([0] * 50, [1] * 50).interval.low == -1


def test_a_single_item_says_nothing():
    found = paired_difference([1], [0])
    assert found.standard_error is None
    assert found.p_value == 1
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.95, 1))
    assert found.smallest_detectable is None


def test_one_and_the_same_graded_difference_everywhere_has_no_interval():
    found = paired_difference([0.5, 0.5], [0.25, 0.25])
    assert (found.interval, found.p_value) == (None, None)


def test_vectors_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="got 2, 1"):
        paired_difference([1, 0], [1])
    with pytest.raises(ValueError, match="got 0, 0"):
        paired_difference([], [])


@pytest.mark.parametrize(
    ("discordance", "points"), [(0.10, 2.4), (0.15, 3.0), (0.20, 3.5), (0.25, 3.9), (0.30, 4.2)]
)
def test_smallest_detectable_on_all_of_gsm8k(discordance, points):
    """Published in the table of Miller's formula for n = 1319."""
    num = round(1319 * discordance)
    differences = [1] * (num // 2) + [-1] * (num - num // 2) + [0] * (1319 - num)
    assert 100 * smallest_detectable(differences) == pytest.approx(points, abs=0.06)


def test_an_exact_test_cannot_show_less_than_six_items():
    assert smallest_detectable([0] * 120) == pytest.approx(6 / 120)
    assert mcnemar_p(6, 0) < 0.05 < mcnemar_p(5, 0)
    assert smallest_detectable([0] * 5) is None


def test_items_to_decide_by_hand():
    differences = [1] * 12 + [-1] * 8 + [0] * 80
    # 2.8016^2 * 0.2 / 0.04^2 = 981.1
    assert num_items_to_decide(differences) == 982
    # At that size the difference seen is the smallest that can be shown.
    assert smallest_detectable(differences * 10) == pytest.approx(
        2.8016 * math.sqrt(0.2 / 1000), rel=1e-3
    )


def test_wilson_agrees_with_statsmodels_and_holds_at_the_ends():
    found = wilson_interval(50, 120)
    assert (found.low, found.high) == pytest.approx(proportion_confint(50, 120, method="wilson"))
    assert wilson_interval(0, 120).low == 0
    assert wilson_interval(0, 120).high == pytest.approx(1.96**2 / (120 + 1.96**2), rel=1e-3)
    assert wilson_interval(120, 120).high == 1
    assert wilson_interval(1, 1).low > 0.2


def test_holm_by_hand():
    # Sorted .01, .02, .04: times 3, 2, 1, and never below an earlier one.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([]) == []
    assert holm([None]) == [None]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_below_the_raw_value(p_values):
    assert all(a >= p - 1e-12 for a, p in zip(holm(p_values), p_values, strict=True))


@settings(deadline=None, max_examples=15)
@given(PAIRS | GRADED)
def test_the_interval_holds_the_estimate_and_nothing_is_nan(pairs):
    found = paired_difference(*_split(pairs))
    numbers = [found.difference, found.standard_error, found.p_value, found.smallest_detectable]
    assert not any(number is not None and math.isnan(number) for number in numbers)
    if found.interval is not None:
        assert found.interval.low <= found.difference <= found.interval.high


@settings(deadline=None, max_examples=15)
@given(PAIRS)
def test_swapping_the_models_negates_the_difference(pairs):
    one, other = paired_difference(*_split(pairs)), paired_difference(*reversed(_split(pairs)))
    assert other.difference == -one.difference
    assert other.p_value == one.p_value
    assert other.num_only_model_right == one.num_only_baseline_right
    assert (other.interval.low, other.interval.high) == pytest.approx(
        (-one.interval.high, -one.interval.low), abs=0.04
    )


def test_the_same_vectors_give_the_same_interval():
    vectors = _vectors(wins=10, losses=4, both=20, neither=30)
    assert paired_difference(*vectors).interval == paired_difference(*vectors).interval


def test_seeds_that_disagree_widen_the_interval():
    agreeing = [[1] * 30 + [0] * 70] * 3
    disagreeing = [[1] * 10 + [0] * 90, [1] * 30 + [0] * 70, [1] * 50 + [0] * 50]
    narrow, wide = hierarchical_interval(agreeing), hierarchical_interval(disagreeing)
    # Equal seeds leave the noise of the items: 0.3 +- 1.96 * sqrt(0.21 / 100)
    assert (narrow.low, narrow.high) == pytest.approx((0.21, 0.39), abs=0.015)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert hierarchical_interval(agreeing[:1]) is None
