"""Where a loss is lowest over the learning rate: a parabola in log2, and how sure it is.

loss = a + b (log2 rate - mu)^2, fitted by least squares to the mean over seeds, within two
doublings of the best rate that was tried: farther away the curve is no parabola. Since the seeds
are complete at every rate, this is the fit with an intercept for each seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Table = npt.NDArray[np.float64]

REACH_DOUBLINGS = 2.0
_FEWEST_RATES = 4
"""A parabola has three numbers; a fourth point is the first that can contradict it."""

_FARTHEST_DOUBLINGS = 4.0
"""A resampled optimum so far from the rates that were tried is none."""


@dataclass(frozen=True)
class Parabola:
    optimum_log2: float
    curvature: float
    lowest: float
    r_squared: float


@dataclass(frozen=True)
class Fit:
    """A curve and its fit."""

    log_rates: "Table"
    """Those that were fitted, log2."""

    table: "Table"
    """Losses at them, one row a seed."""

    parabola: Parabola
    seed_spread: float | None


def best_index(means: Sequence[float | None]) -> int | None:
    """Of the lowest mean; None without any."""
    known = [(mean, index) for index, mean in enumerate(means) if mean is not None]
    return min(known)[1] if known else None


def is_edge(means: Sequence[float | None]) -> bool:
    """Whether the best rate has no worse one on both sides; one that diverged counts as worse."""
    best = best_index(means)
    return best is None or best in (0, len(means) - 1)


def fit_curve(rates: Sequence[float], losses: Sequence[Sequence[float | None]]) -> Fit | None:
    """Fit the parabola; None with too few rates near the best, or where it has no lowest point.

    Args:
        rates: Ascending.
        losses: For each rate one loss a seed, None where it diverged.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    means = mean_of_each(losses)
    best = best_index(means)
    if best is None:
        return None
    near = [
        index
        for index, mean in enumerate(means)
        if mean is not None and abs(math.log2(rates[index] / rates[best])) <= REACH_DOUBLINGS + 1e-9
    ]
    if len(near) < _FEWEST_RATES:
        return None
    log_rates = np.log2([rates[index] for index in near])
    table = np.array([losses[index] for index in near], dtype=float).T
    parabola = fit_parabola(log_rates, table.mean(axis=0))
    if parabola is None:
        return None
    return Fit(log_rates, table, parabola, _seed_spread(table))


def fit_parabola(log_rates: "Table", means: "Table") -> Parabola | None:
    """Least squares; None where it opens downwards."""
    import numpy as np  # noqa: PLC0415 - heavy

    centre = float(log_rates.mean())
    square, slope, level = (float(v) for v in np.polyfit(log_rates - centre, means, 2))
    if square <= 0:
        return None
    fitted = np.polyval([square, slope, level], log_rates - centre)
    total = float(((means - means.mean()) ** 2).sum())
    rest = float(((means - fitted) ** 2).sum())
    return Parabola(
        optimum_log2=centre - slope / (2 * square),
        curvature=square,
        lowest=level - slope**2 / (4 * square),
        r_squared=1 - rest / total if total > 0 else 1.0,
    )


def three_point_optimum(rates: Sequence[float], means: Sequence[float | None]) -> float | None:
    """Of the parabola through the best rate and its two neighbours; None on an edge."""
    import numpy as np  # noqa: PLC0415 - heavy

    best = best_index(means)
    if best is None or is_edge(means):
        return None
    three = list(means[best - 1 : best + 2])
    if None in three:
        return None
    found = fit_parabola(np.log2(rates[best - 1 : best + 2]), np.array(three, dtype=float))
    return None if found is None else 2.0**found.optimum_log2


def resampled_optima(fit: Fit, draws: "Table", signs: "Table") -> "Table":
    """log2 optima of resampled curves; NaN where one has no lowest point near the rates.

    Two things are drawn: the seeds, and the signs of what the parabola leaves unexplained at each
    rate (wild bootstrap), because a curve that is no parabola makes the optimum uncertain however
    many seeds there are. Both are widened for the few there are of each: deviations of a mean of K
    by sqrt(K / (K - 1)), residuals by sqrt(R / (R - 3)).

    Args:
        fit: The curve.
        draws: How often each seed is drawn, one row a resample, rows adding up to the seeds.
        signs: +1 or -1 for each fitted rate, one row a resample.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    num_seeds, num_rates = fit.table.shape
    mean = fit.table.mean(axis=0)
    centre = float(fit.log_rates.mean())
    x = fit.log_rates - centre
    design = np.vander(x, 3)
    solve = np.linalg.pinv(design)
    residual = mean - design @ (solve @ mean)
    widen_seeds = math.sqrt(num_seeds / (num_seeds - 1)) if num_seeds > 1 else 0.0
    widen_rates = math.sqrt(num_rates / max(1, num_rates - 3))
    by_seed = (draws @ fit.table) / num_seeds - mean
    curves = mean - residual + widen_seeds * by_seed + widen_rates * signs * residual
    square, slope, _ = solve @ curves.T
    with np.errstate(divide="ignore", invalid="ignore"):
        optima = centre - slope / (2 * square)
    out_of_reach = np.abs(optima - centre) > _FARTHEST_DOUBLINGS + np.ptp(x) / 2
    optima[(square <= 0) | out_of_reach] = np.nan
    return np.asarray(optima, dtype=float)


def mean_of_each(losses: Sequence[Sequence[float | None]]) -> list[float | None]:
    """None for a rate at which any seed has no loss."""
    return [
        None if None in row or not row else math.fsum(v for v in row if v is not None) / len(row)
        for row in losses
    ]


def _seed_spread(table: "Table") -> float | None:
    """Pooled standard deviation over seeds, each seed's own level taken out."""
    num_seeds, num_rates = table.shape
    if num_seeds < 2 or num_rates < 2:
        return None
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float(math.sqrt((rest**2).sum() / ((num_seeds - 1) * (num_rates - 1))))
