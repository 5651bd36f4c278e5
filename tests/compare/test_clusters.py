"""Errors of items that hang together, against statsmodels and by hand."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from bakeoff.compare.clusters import clustered_error, clustered_interval, clustered_p
from bakeoff.compare.stats import paired_difference, standard_error


def _passages(num_clusters=30, size=4, seed=0):
    """Differences that all questions about a passage share, but for a little."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.1, 0.4, num_clusters)
    values = [float(v + rng.normal(0, 0.1)) for v in shared for _ in range(size)]
    return values, [f"p{i}" for i in range(num_clusters) for _ in range(size)]


def test_the_clustered_error_is_that_of_statsmodels():
    values, clusters = _passages()
    groups = np.unique(clusters, return_inverse=True)[1]
    fitted = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}, use_t=True
    )
    assert clustered_error(values, clusters) == pytest.approx(fitted.bse[0])
    assert clustered_p(values, clusters) == pytest.approx(fitted.pvalues[0])


def test_by_hand_two_passages_of_two_questions():
    # mean 0.5; sums of deviations 1 and -1; sqrt(2 / 1 * (1 + 1)) / 4
    assert clustered_error([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(math.sqrt(4) / 4)


def test_items_that_stand_alone_have_the_plain_error():
    values, _ = _passages()
    alone = [str(i) for i in range(len(values))]
    assert clustered_error(values, alone) == pytest.approx(standard_error(values))


def test_questions_about_one_passage_widen_the_interval_and_raise_the_p_value():
    values, clusters = _passages()
    model = [float(value > 0) for value in values]
    baseline = [0.0] * len(values)
    alone = paired_difference(model, baseline)
    together = paired_difference(model, baseline, clusters=clusters)
    assert together.test == "clustered t"
    assert (together.num_clusters, together.num_items) == (30, 120)
    assert together.standard_error > 1.4 * alone.standard_error == 1.4 * together.unclustered_error
    width = [found.interval.high - found.interval.low for found in (alone, together)]
    assert width[1] > 1.4 * width[0]
    assert together.p_value > alone.p_value
    assert together.num_items_to_decide > alone.num_items_to_decide
    # The counts are those of the items all the same.
    assert together.num_only_model_right == alone.num_only_model_right


def test_the_interval_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(60):
        values, clusters = _passages(seed=seed)
        interval = clustered_interval(values, clusters, seed=seed)
        inside += interval.low <= 0.1 <= interval.high
    assert inside / 60 > 0.85


def test_a_single_passage_tells_nothing_of_others():
    assert clustered_error([1, 0], ["a", "a"]) is None
    assert clustered_interval([1, 0], ["a", "a"]) is None
    assert clustered_p([0, 0, 0, 0], ["a", "a", "b", "b"]) == 1.0
