"""Paired statistics of two models that answered the same items.

Both models see the same questions, so everything here works on the item-by-item difference: what
makes an item hard for both cancels (Miller 2024, arXiv:2411.00640, section on paired differences).
scipy and statsmodels do the computing and are imported on first use: they take a second, which the
command line must not spend to print its help.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from bakeoff.compare.clusters import clustered_error, clustered_interval, clustered_p
from bakeoff.compare.constants import ALPHA, NUM_RESAMPLES, POWER
from bakeoff.schema.comparison import Interval, PairedDifference

_BATCH_NUMBERS = 4_000_000
"""Numbers that the bootstrap holds at once (32 MB): 10,000 draws of 14,000 items would be 1 GB."""

Vector = Sequence[float]


def paired_difference(
    model: Vector, baseline: Vector, *, clusters: Sequence[str] | None = None, seed: int = 0
) -> PairedDifference:
    """Everything about ``model`` minus ``baseline``; both hold one score in [0, 1] per item.

    Args:
        model: scores of the one.
        baseline: scores of the other, on the same items in the same order.
        clusters: which items hang together; None, or all different: each stands alone.
        seed: of the bootstrap.

    Raises:
        ValueError: no items, or not the same number of them.
    """
    if len(model) != len(baseline) or not model:
        raise ValueError(f"expected two equally long vectors, got {len(model)}, {len(baseline)}")
    differences = [a - b for a, b in zip(model, baseline, strict=True)]
    binary = all(value in (0, 1) for value in (*model, *baseline))
    wins, losses = differences.count(1), differences.count(-1)
    mean = math.fsum(differences) / len(differences)
    both = sum(a == b == 1 for a, b in zip(model, baseline, strict=True))
    found = PairedDifference(
        num_items=len(model),
        model_mean=math.fsum(model) / len(model),
        baseline_mean=math.fsum(baseline) / len(baseline),
        difference=mean,
        standard_error=standard_error(differences),
        interval=bootstrap_interval(differences, binary=binary, seed=seed),
        num_only_model_right=wins if binary else None,
        num_only_baseline_right=losses if binary else None,
        num_both_right=both if binary else None,
        num_neither_right=len(model) - wins - losses - both if binary else None,
        test="exact McNemar" if binary else "paired t",
        p_value=mcnemar_p(wins, losses) if binary else paired_t_p(differences),
        smallest_detectable=smallest_detectable(differences),
        num_items_to_decide=num_items_to_decide(differences),
    )
    if clusters is None or len(set(clusters)) == len(clusters):
        return found
    return _clustered(found, differences, clusters, seed)


def _clustered(
    found: PairedDifference, differences: Vector, clusters: Sequence[str], seed: int
) -> PairedDifference:
    """Error, interval, test and power again, with whole clusters in the place of items.

    The power falls by the design effect: the ratio of the two variances.
    """
    error, alone = clustered_error(differences, clusters), found.standard_error
    effect = error / alone if error and alone else None
    smallest, needed = found.smallest_detectable, found.num_items_to_decide
    return found.model_copy(
        update={
            "num_clusters": len(set(clusters)),
            "unclustered_error": alone,
            "standard_error": error,
            "interval": clustered_interval(differences, clusters, seed=seed),
            "test": "clustered t",
            "p_value": clustered_p(differences, clusters),
            "smallest_detectable": smallest * effect
            if smallest and effect and smallest * effect <= 1
            else None,
            "num_items_to_decide": math.ceil(needed * effect**2) if needed and effect else None,
        }
    )


def standard_error(differences: Vector) -> float | None:
    """Of the mean of paired differences, by the central limit theorem; None for one item."""
    from scipy import stats  # noqa: PLC0415 - heavy, see the module's docstring

    return float(stats.sem(differences)) if len(differences) > 1 else None


def bootstrap_interval(differences: Vector, *, binary: bool, seed: int = 0) -> Interval | None:
    """95 % interval of the mean difference, items drawn again with replacement.

    Bias-corrected and accelerated (BCa, Efron 1987), or plain percentiles where BCa is not defined.
    When every item differs by the same amount there is nothing to draw from, and the bootstrap
    would claim certainty; the exact binomial limit answers then (``_exact_interval``).
    """
    if min(differences) == max(differences):
        return _exact_interval(differences[0], len(differences)) if binary else None
    mean = math.fsum(differences) / len(differences)
    low, high = _bootstrap(differences, "BCa", seed)
    if math.isnan(low) or math.isnan(high):
        low, high = _bootstrap(differences, "percentile", seed)
        return Interval(low=min(low, mean), high=max(high, mean), method="percentile")
    # Resampled means move in steps of 1/n, so that a limit can stop one rounding short of the mean.
    return Interval(low=min(low, mean), high=max(high, mean), method="bca")


def _bootstrap(
    differences: Vector, method: Literal["BCa", "percentile"], seed: int
) -> tuple[float, float]:
    import numpy as np  # noqa: PLC0415 - heavy, see the module's docstring
    from scipy import stats  # noqa: PLC0415

    with warnings.catch_warnings():
        # scipy warns where BCa is undefined and returns NaN, which the caller looks for.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (np.asarray(differences, dtype=float),),
            np.mean,
            n_resamples=NUM_RESAMPLES,
            batch=max(1, _BATCH_NUMBERS // len(differences)),
            confidence_level=1 - ALPHA,
            method=method,
            rng=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _exact_interval(difference: float, num_items: int) -> Interval:
    """Limits from Clopper-Pearson when all n items agree on one outcome.

    All equal: at most u = 1 - 0.025^(1/n) of all items can differ, all of them one way at worst.
    All won (or lost): at least 1 - u are won and at most u lost, hence 1 - 2u at worst.
    """
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415 - heavy

    upper = float(proportion_confint(0, num_items, alpha=ALPHA, method="beta")[1])
    if difference == 0:
        return Interval(low=-upper, high=upper, method="exact")
    near, far = (1 - 2 * upper) * difference, difference
    return Interval(low=min(near, far), high=max(near, far), method="exact")


def mcnemar_p(num_only_model: int, num_only_baseline: int) -> float:
    """Two-sided exact McNemar test; 1 when the two models were right on the same items."""
    from statsmodels.stats.contingency_tables import mcnemar  # noqa: PLC0415 - heavy

    table = [[0, num_only_model], [num_only_baseline, 0]]
    return float(mcnemar(table, exact=True).pvalue)


def paired_t_p(differences: Vector) -> float | None:
    """Two-sided paired t-test, for scores that are not just right or wrong.

    None where the test is not defined: a single item, or one and the same difference everywhere.
    """
    from scipy import stats  # noqa: PLC0415 - heavy, see the module's docstring

    if min(differences) == max(differences):
        return 1.0 if len(differences) > 1 and differences[0] == 0 else None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def smallest_detectable(differences: Vector) -> float | None:
    """Smallest true difference that this test finds with 80 % power at alpha 0.05.

    (z_{1-alpha/2} + z_{power}) * sqrt(p_d / n) = 2.80 * sqrt(p_d / n), Miller 2024
    (arXiv:2411.00640), where p_d is the share of items on which the two models disagree (the mean
    squared difference for graded scores). Never below what the exact test needs at all: m items,
    all one way, with 2 * 0.5^m <= alpha, which is 6 of n. None if that is more than all items.
    """
    num_items = len(differences)
    disagreement = math.fsum(value * value for value in differences) / num_items
    fewest = math.ceil(1 - math.log2(ALPHA))
    needed = max(_z_sum() * math.sqrt(disagreement / num_items), fewest / num_items)
    return needed if needed <= 1 else None


def num_items_to_decide(differences: Vector) -> int | None:
    """Items for 80 % power if the truth were the difference seen: the same formula, for n."""
    num_items = len(differences)
    mean = math.fsum(differences) / num_items
    if mean == 0:
        return None
    disagreement = math.fsum(value * value for value in differences) / num_items
    return math.ceil(_z_sum() ** 2 * disagreement / mean**2)


def _z_sum() -> float:
    from scipy import stats  # noqa: PLC0415 - heavy, see the module's docstring

    return float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER))


def wilson_interval(num_right: float, num_items: int) -> Interval:
    """95 % interval of one share of right answers (Wilson 1927); sound near 0 and 1 too."""
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415 - heavy

    low, high = proportion_confint(num_right, num_items, alpha=ALPHA, method="wilson")
    # Rounding may carry a limit past the share itself when all or no answers are right.
    share = num_right / num_items
    return Interval(low=min(float(low), share), high=max(float(high), share), method="wilson")


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p-values (Holm 1979) of one family, in order; None stays None, uncounted."""
    known = [p for p in p_values if p is not None]
    if not known:
        return list(p_values)
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - heavy

    adjusted = iter(multipletests(known, alpha=ALPHA, method="holm")[1])
    return [None if p is None else float(next(adjusted)) for p in p_values]


def hierarchical_interval(
    by_seed: Sequence[Vector], baseline_by_seed: Sequence[Vector] = (), *, seed: int = 0
) -> Interval | None:
    """95 % interval of the mean difference over training seeds, for any seed and any item.

    Seeds and items are both drawn again (they are crossed: every seed answers every item), so that
    the interval covers training noise too; the seeds of either method are drawn apart, for the
    same number means nothing to another method.

    Args:
        by_seed: one vector a seed, all over the same items: differences, or scores.
        baseline_by_seed: the scores of what they are held against, likewise; none: ``by_seed``
            holds differences.
        seed: of the bootstrap.

    Returns:
        None with fewer than two seeds on both sides, or fewer than two items.
    """
    import numpy as np  # noqa: PLC0415 - heavy, see the module's docstring

    num_items = len(by_seed[0])
    if max(len(by_seed), len(baseline_by_seed)) < 2 or num_items < 2:
        return None
    draw = np.random.default_rng(seed)
    tables = [np.asarray(side, dtype=float) for side in (by_seed, baseline_by_seed) if side]
    means = []
    for start in range(0, NUM_RESAMPLES, 500):
        size = min(500, NUM_RESAMPLES - start)
        drawn = [_drawn_means(draw, len(table), size) @ table for table in tables]
        items = _drawn_means(draw, num_items, size)
        means.append(((drawn[0] - drawn[1] if len(drawn) > 1 else drawn[0]) * items).sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [ALPHA / 2, 1 - ALPHA / 2])
    mean = float(tables[0].mean() - (tables[1].mean() if len(tables) > 1 else 0))
    return Interval(low=min(float(low), mean), high=max(float(high), mean), method="hierarchical")


def _drawn_means(draw: Any, num: int, size: int) -> Any:
    """``size`` rows of weights, each the share in which one of ``num`` was drawn."""
    return draw.multinomial(num, [1 / num] * num, size=size) / num
