"""Which of several settings is the best, when training is noisy: paired over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from bakeoff.compare.constants import ALPHA
from bakeoff.compare.stats import holm, paired_t_p
from bakeoff.schema.comparison import Interval


@dataclass(frozen=True)
class Standing:
    """One candidate against the best of them."""

    difference: float | None
    """Mean over the seeds, in the direction of worse; None for the best and for what failed."""

    interval: Interval | None
    p_adjusted: float | None
    what: Literal["best", "not told apart", "worse", "failed"]


def judge_candidates(
    scores: Sequence[Sequence[float | None]], *, higher_is_better: bool
) -> list[Standing]:
    """Hold each candidate against the one with the best mean, seed by seed.

    The seeds are shared, so that what a seed does to all of them (order of rows, first weights)
    cancels. With three seeds only large differences can be told from chance; that a candidate is
    not told apart does not make it equal.

    Args:
        scores: For each candidate one score a seed; None where it failed.
        higher_is_better: Of the scores.
    """
    sign = -1.0 if higher_is_better else 1.0
    whole = [None if None in row else [sign * v for v in row if v is not None] for row in scores]
    means = [fmean(row) if row else None for row in whole]
    known = [mean for mean in means if mean is not None]
    if not known:
        return [Standing(None, None, None, "failed") for _ in scores]
    best = means.index(min(known))
    paired = [
        None if row is None or index == best else _paired(row, whole[best] or [])
        for index, row in enumerate(whole)
    ]
    adjusted = holm([None if found is None else paired_t_p(found) for found in paired])
    standings = []
    for index, found in enumerate(paired):
        if found is None:
            what: Literal["best", "failed"] = "best" if index == best else "failed"
            standings.append(Standing(None, None, None, what))
            continue
        p_value = adjusted[index]
        shown = p_value is not None and p_value < ALPHA
        standings.append(
            Standing(
                fmean(found), t_interval(found), p_value, "worse" if shown else "not told apart"
            )
        )
    return standings


def t_interval(differences: Sequence[float]) -> Interval | None:
    """95 % interval of the mean (Student's t); None with fewer than two, or without spread."""
    if len(differences) < 2 or stdev(differences) == 0:
        return None
    from scipy import stats  # noqa: PLC0415 - heavy

    mean = fmean(differences)
    reach = float(stats.t.ppf(1 - ALPHA / 2, len(differences) - 1)) * float(stats.sem(differences))
    return Interval(low=mean - reach, high=mean + reach, method="t")


def _paired(row: Sequence[float], best: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(row, best, strict=True)]
