"""Statistics of a transfer: ratio of optima, order of settings, regret.

The seeds are shared by the arms, and so every resample draws the same ones for both.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from bakeoff.compare.candidates import t_interval
from bakeoff.compare.constants import ALPHA
from bakeoff.compare.rate_curve import Fit, resampled_optima
from bakeoff.schema.comparison import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Table = npt.NDArray[np.float64]

MOST_LOST = ALPHA / 2
"""Share of resampled curves without an optimum beyond which there is no interval."""


@dataclass(frozen=True)
class Equivalence:
    interval: Interval | None
    p_value: float | None
    what: Literal["as published", "not as published", "undecided"]


@dataclass(frozen=True)
class Ranks:
    kendall: float
    kendall_interval: Interval | None
    spearman: float
    spearman_interval: Interval | None
    ceiling: float | None
    without_diverged: float | None
    num_diverged: int
    p_value: float | None


def draw_seeds(num_seeds: int, num_resamples: int, *, seed: int = 0) -> "Table":
    """How often each seed is drawn; one row a resample."""
    import numpy as np  # noqa: PLC0415 - heavy

    draw = np.random.default_rng(seed)
    counts = draw.multinomial(num_seeds, [1 / num_seeds] * num_seeds, size=num_resamples)
    return counts.astype(float)


def draw_signs(num_rates: int, num_resamples: int, *, seed: int) -> "Table":
    import numpy as np  # noqa: PLC0415 - heavy

    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(num_resamples, num_rates))


def optimum_draws(fit: Fit, draws: "Table", *, seed: int) -> "Table":
    """log2 optima of the resamples in ``draws``."""
    return resampled_optima(fit, draws, draw_signs(len(fit.log_rates), len(draws), seed=seed))


def interval_of_factor(log2_draws: "Table") -> Interval | None:
    """95 % percentile interval of 2^x; None where too many draws are none."""
    import numpy as np  # noqa: PLC0415 - heavy

    if np.isnan(log2_draws).mean() > MOST_LOST:
        return None
    low, high = np.nanquantile(log2_draws, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(low=float(2**low), high=float(2**high), method="percentile")


def judge_ratio(log2_draws: "Table", *, published: float, within_factor: float) -> Equivalence:
    """Two one-sided tests on the log scale (Schuirmann 1987): is the ratio about as published?

    `as published`: the 90 % interval lies within the bounds. `not as published`: the 95 % interval
    leaves the published value out. A draw without an optimum speaks against both.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    interval = interval_of_factor(log2_draws)
    low = math.log2(published / within_factor)
    high = math.log2(published * within_factor)
    number = len(log2_draws)
    inside_low = np.nan_to_num(log2_draws, nan=-np.inf) > low
    inside_high = np.nan_to_num(log2_draws, nan=np.inf) < high
    outside = max((~inside_low).sum(), (~inside_high).sum())
    p_value = float((outside + 1) / (number + 1))
    if p_value < ALPHA:
        return Equivalence(interval, p_value, "as published")
    if interval is not None and not interval.low <= published <= interval.high:
        return Equivalence(interval, p_value, "not as published")
    return Equivalence(interval, p_value, "undecided")


def rank_agreement(
    one: Sequence[Sequence[float | None]], other: Sequence[Sequence[float | None]], draws: "Table"
) -> Ranks | None:
    """How alike two arms order the same settings; None with fewer than three.

    Args:
        one: For each setting one loss a seed; None: diverged, which ranks last.
        other: The same of the other arm.
        draws: As :func:`draw_seeds` makes them.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    if len(one) < 3:
        return None
    a, b = _with_last(one), _with_last(other)
    lost = [None in x or None in y for x, y in zip(one, other, strict=True)]
    kept = [i for i, is_lost in enumerate(lost) if not is_lost]
    kendall, p_value = _kendall(a.mean(axis=1), b.mean(axis=1))
    spearman = _spearman(a.mean(axis=1), b.mean(axis=1))
    if kendall is None or spearman is None:
        return None
    num_seeds = a.shape[1]
    taus, rhos = [], []
    for counts in draws if num_seeds > 1 else ():
        x, y = a @ counts / num_seeds, b @ counts / num_seeds
        taus.append(_kendall(x, y)[0])
        rhos.append(_spearman(x, y))
    without = (
        _kendall(a[kept].mean(axis=1), b[kept].mean(axis=1))[0]
        if any(lost) and len(kept) > 2
        else None
    )
    halves = [ceiling for ceiling in (split_half(a), split_half(b)) if ceiling is not None]
    return Ranks(
        kendall=kendall,
        kendall_interval=_quantiles(taus),
        spearman=spearman,
        spearman_interval=_quantiles(rhos),
        ceiling=float(np.mean(halves)) if halves else None,
        without_diverged=without,
        num_diverged=sum(lost),
        p_value=p_value,
    )


def split_half(table: "Table") -> float | None:
    """Mean Kendall's tau between the means of disjoint halves of the seeds, over all splits.

    Two arms cannot agree better than one of them agrees with itself.
    """
    num_seeds = table.shape[1]
    if num_seeds < 2:
        return None
    found = []
    for half in itertools.combinations(range(num_seeds), num_seeds // 2):
        rest = [seed for seed in range(num_seeds) if seed not in half]
        tau = _kendall(table[:, list(half)].mean(axis=1), table[:, rest].mean(axis=1))[0]
        if tau is not None:
            found.append(tau)
    return fmean(found) if found else None


def judge_regret(
    losses: Sequence[float | None], own: Sequence[float | None], *, margin: float
) -> tuple[float | None, Interval | None, Literal["none", "some", "undecided", "diverged"]]:
    """Mean loss above one's own best, paired over seeds, and whether it matters."""
    if None in losses or None in own or not losses:
        return None, None, "diverged"
    differences = [(value or 0.0) - (best or 0.0) for value, best in zip(losses, own, strict=True)]
    if not any(differences):
        return 0.0, None, "none"  # the very same rate
    interval = t_interval(differences)
    if interval is None:
        return fmean(differences), None, "undecided"
    if interval.high < margin:
        return fmean(differences), interval, "none"
    return fmean(differences), interval, "some" if interval.low > margin else "undecided"


def _with_last(losses: Sequence[Sequence[float | None]]) -> "Table":
    """A setting of which one seed diverged ranks behind all that did not."""
    import numpy as np  # noqa: PLC0415 - heavy

    known = [value for row in losses for value in row if value is not None]
    last = 2 * max(known, default=1.0) + 1.0
    return np.array([[last] * len(row) if None in row else row for row in losses], dtype=float)


def _kendall(x: "Table", y: "Table") -> tuple[float | None, float | None]:
    from scipy import stats  # noqa: PLC0415 - heavy

    if len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
        return None, None
    found = stats.kendalltau(x, y)
    return float(found.statistic), float(found.pvalue)


def _spearman(x: "Table", y: "Table") -> float | None:
    from scipy import stats  # noqa: PLC0415 - heavy

    if len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
        return None
    return float(stats.spearmanr(x, y).statistic)


def _quantiles(values: Sequence[float | None]) -> Interval | None:
    import numpy as np  # noqa: PLC0415 - heavy

    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = np.quantile(known, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(low=float(low), high=float(high), method="percentile")
