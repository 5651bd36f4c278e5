"""The statistics of a transfer, on made curves whose optima are known."""

import math

import numpy as np
import pytest

from bakeoff.compare.rate_curve import fit_curve, is_edge, mean_of_each, three_point_optimum
from bakeoff.compare.transfer import (
    draw_seeds,
    interval_of_factor,
    judge_ratio,
    judge_regret,
    optimum_draws,
    rank_agreement,
    split_half,
)

FULL = [4e-5 * 2**i for i in range(6)]
LORA = [4e-4 * 2**i for i in range(6)]


def _losses(rates, optimum, *, levels=(0.0, 0.0, 0.0), noise=0.0, skew=0.0, draw=None):
    """A valley at ``optimum``; each seed has a level of its own."""
    rows = []
    for rate in rates:
        x = math.log2(rate / optimum)
        valley = 0.3 + 0.02 * x**2 + skew * 0.02 * x**3
        rows.append([valley + level + (draw.normal(0, noise) if draw else 0) for level in levels])
    return rows


def _ratio_draws(full, lora, num_resamples=400):
    draws = draw_seeds(len(full[0]), num_resamples)
    ours, theirs = fit_curve(LORA, lora), fit_curve(FULL, full)
    return optimum_draws(ours, draws, seed=1) - optimum_draws(theirs, draws, seed=2)


def test_a_parabola_without_noise_is_found_exactly():
    fit = fit_curve(FULL, _losses(FULL, 2.3e-4, levels=(0.0, 0.1, -0.2)))
    assert 2**fit.parabola.optimum_log2 == pytest.approx(2.3e-4, rel=1e-6)
    assert fit.parabola.curvature == pytest.approx(0.02)
    assert fit.parabola.r_squared == pytest.approx(1.0)
    assert fit.seed_spread == pytest.approx(0.0, abs=1e-9)
    means = mean_of_each(_losses(FULL, 2.3e-4))
    assert three_point_optimum(FULL, means) == pytest.approx(2.3e-4, rel=1e-6)


def test_an_optimum_on_the_edge_is_told_as_one():
    assert is_edge(mean_of_each(_losses(FULL, 1e-6)))
    assert is_edge(mean_of_each(_losses(FULL, 1e-2)))
    assert not is_edge(mean_of_each(_losses(FULL, 2e-4)))
    assert three_point_optimum(FULL, mean_of_each(_losses(FULL, 1e-6))) is None


def test_a_rate_that_diverged_bounds_the_valley_and_is_not_fitted():
    rows = _losses(FULL, 3e-4)
    rows[-1] = [None, 8.0, 9.0]
    fit = fit_curve(FULL, rows)
    assert not is_edge(mean_of_each(rows))
    assert len(fit.log_rates) == 4
    assert 2**fit.parabola.optimum_log2 == pytest.approx(3e-4, rel=1e-6)


def test_too_few_rates_and_a_hill_have_no_fit():
    assert fit_curve(FULL[:3], _losses(FULL[:3], 8e-5)) is None
    hill = [[-value for value in row] for row in _losses(FULL, 2e-4)]
    assert fit_curve(FULL, hill) is None


@pytest.mark.parametrize("skew", [0.0, 0.15])
def test_the_interval_of_the_ratio_holds_the_true_one_about_as_often_as_it_says(skew):
    draw = np.random.default_rng(7)
    held, made = 0, 120
    for _ in range(made):
        true = 10 * 2 ** draw.uniform(-0.5, 0.5)
        optimum = 2e-4 * 2 ** draw.uniform(-0.5, 0.5)
        levels = draw.normal(0, 0.02, 3)
        full = _losses(FULL, optimum, levels=levels, noise=0.008, skew=skew, draw=draw)
        lora = _losses(LORA, true * optimum, levels=levels, noise=0.008, skew=skew, draw=draw)
        interval = interval_of_factor(_ratio_draws(full, lora))
        held += interval.low <= true <= interval.high
    assert 0.87 <= held / made <= 1.0


@pytest.mark.parametrize(
    ("true", "noise", "what"),
    [
        (10, 0.002, "as published"),
        (1.5, 0.002, "not as published"),
        (40, 0.002, "not as published"),
        (9, 0.05, "undecided"),
    ],
)
def test_the_ratio_is_held_against_the_published_one(true, noise, what):
    draw = np.random.default_rng(3)
    lora_rates = [rate * true / 10 for rate in LORA]
    full = _losses(FULL, 2e-4, noise=noise, draw=draw)
    lora = _losses(lora_rates, true * 2e-4, noise=noise, draw=draw)
    draws = draw_seeds(3, 400)
    log2_draws = optimum_draws(fit_curve(lora_rates, lora), draws, seed=1) - optimum_draws(
        fit_curve(FULL, full), draws, seed=2
    )
    judged = judge_ratio(log2_draws, published=10, within_factor=2)
    assert judged.what == what
    assert (judged.p_value < 0.05) == (what == "as published")


def test_a_flat_curve_has_no_interval_rather_than_a_narrow_one():
    draws = np.full(1000, math.log2(10.0))
    draws[:100] = np.nan
    judged = judge_ratio(draws, published=10, within_factor=2)
    assert (judged.interval, judged.what) == (None, "undecided")


def test_one_order_is_full_agreement_and_the_reverse_is_none():
    one = [[float(i), i + 0.1, i - 0.1] for i in range(8)]
    draws = draw_seeds(3, 50)
    same = rank_agreement(one, [[2 * v for v in row] for row in one], draws)
    assert (same.kendall, same.spearman, same.ceiling) == pytest.approx((1.0, 1.0, 1.0))
    assert same.kendall_interval.low == pytest.approx(1.0)
    assert rank_agreement(one, one[::-1], draws).kendall == pytest.approx(-1.0)
    assert rank_agreement(one[:2], one[:2], draws) is None


def test_noise_lowers_the_ceiling():
    draw = np.random.default_rng(0)
    clear = np.arange(10.0)[:, None] + draw.normal(0, 0.01, (10, 4))
    noisy = np.arange(10.0)[:, None] + draw.normal(0, 6.0, (10, 4))
    assert split_half(clear) == pytest.approx(1.0)
    assert split_half(noisy) < 0.7
    assert split_half(clear[:, :1]) is None


def test_what_diverged_ranks_last_and_is_left_out_once():
    one = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [None, 0.1]]
    other = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [0.5, 0.5]]
    found = rank_agreement(one, other, draw_seeds(2, 20))
    assert found.num_diverged == 1
    assert found.kendall < 1.0
    assert found.without_diverged == pytest.approx(1.0)


def test_regret_is_paired_over_seeds_and_held_against_the_margin():
    own = [0.30, 0.40, 0.35]
    same = [0.301, 0.402, 0.3515]
    much = [0.41, 0.50, 0.455]
    assert judge_regret(same, own, margin=0.01)[2] == "none"
    mean, interval, what = judge_regret(much, own, margin=0.01)
    assert mean == pytest.approx(0.105)
    assert what == "some"
    assert interval.low < mean < interval.high
    assert judge_regret([0.2, 0.9, 0.4], own, margin=0.01)[2] == "undecided"
    assert judge_regret([None, 0.4, 0.35], own, margin=0.01) == (None, None, "diverged")
    assert judge_regret(own, own, margin=0.01) == (0.0, None, "none")
