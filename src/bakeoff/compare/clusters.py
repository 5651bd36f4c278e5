"""Items that hang together: several questions about one passage are less than as many alone.

Miller 2024 (arXiv:2411.00640, section on clustered questions): the standard error of the mean is
that of the clusters' sums, and up to three times larger than that of independent items.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from bakeoff.compare.constants import ALPHA, NUM_RESAMPLES
from bakeoff.schema.comparison import Interval

Vector = Sequence[float]


def cluster_sums(values: Vector, clusters: Sequence[str]) -> list[tuple[float, int]]:
    """Of each cluster its sum and its number of items, in order of appearance."""
    found: dict[str, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        found[cluster].append(value)
    return [(math.fsum(members), len(members)) for members in found.values()]


def clustered_error(values: Vector, clusters: Sequence[str]) -> float | None:
    """Standard error of the mean; None for a single cluster.

    sqrt(G / (G - 1) * sum over clusters of (sum of deviations from the mean)^2) / n, the sandwich
    estimator with the usual correction for G clusters.
    """
    sums = cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    mean = math.fsum(values) / len(values)
    squares = math.fsum((total - size * mean) ** 2 for total, size in sums)
    return math.sqrt(len(sums) / (len(sums) - 1) * squares) / len(values)


def clustered_p(values: Vector, clusters: Sequence[str]) -> float | None:
    """Two-sided t-test of the mean against 0, with one degree of freedom less than clusters."""
    from scipy import stats  # noqa: PLC0415 - heavy, see `bakeoff.compare.stats`

    error = clustered_error(values, clusters)
    mean = math.fsum(values) / len(values)
    if not error:
        return 1.0 if error == 0 and mean == 0 else None
    return float(2 * stats.t.sf(abs(mean) / error, len(set(clusters)) - 1))


def clustered_interval(
    values: Vector, clusters: Sequence[str], *, seed: int = 0
) -> Interval | None:
    """95 % interval of the mean, whole clusters drawn again with replacement (percentiles).

    None for fewer than two clusters, or where all items are alike.
    """
    import numpy as np  # noqa: PLC0415 - heavy, see `bakeoff.compare.stats`

    sums = cluster_sums(values, clusters)
    if len(sums) < 2 or min(values) == max(values):
        return None
    draw = np.random.default_rng(seed)
    totals, sizes = (np.asarray(column, dtype=float) for column in zip(*sums, strict=True))
    means = []
    for start in range(0, NUM_RESAMPLES, 500):
        size = min(500, NUM_RESAMPLES - start)
        times = draw.multinomial(len(sums), [1 / len(sums)] * len(sums), size=size)
        means.append((times @ totals) / (times @ sizes))
    low, high = np.quantile(np.concatenate(means), [ALPHA / 2, 1 - ALPHA / 2])
    mean = math.fsum(values) / len(values)
    return Interval(low=min(float(low), mean), high=max(float(high), mean), method="clustered")
