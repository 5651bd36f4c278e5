"""Is a model as good as another? A p-value above 0.05 does not say so; this does.

Two one-sided tests (Schuirmann 1987): the difference is shown to lie within a margin that was
chosen beforehand when both "it is lower by the margin or more" and "it is higher by the margin or
more" are rejected, which is when its 90 % interval lies within the margin.
"""

from collections.abc import Sequence

from bakeoff.compare.constants import ALPHA
from bakeoff.compare.numbers import p_phrase, points
from bakeoff.compare.stats import holm
from bakeoff.schema.comparison import ComparedRun, Equivalence, PairedDifference


def equivalence(difference: PairedDifference, margin: float) -> Equivalence | None:
    """By the paired (or clustered) standard error; None where there is none.

    Args:
        difference: of two models on the same items.
        margin: largest difference that does not matter, between 0 and 1.
    """
    from scipy import stats  # noqa: PLC0415 - heavy, see `bakeoff.compare.stats`

    error = difference.standard_error
    if not error:
        return None
    freedom = (difference.num_clusters or difference.num_items) - 1
    not_lower = float(stats.t.sf((difference.difference + margin) / error, freedom))
    not_higher = float(stats.t.cdf((difference.difference - margin) / error, freedom))
    reach = float(stats.t.ppf(1 - ALPHA, freedom)) * error
    return Equivalence(
        margin=margin,
        low=difference.difference - reach,
        high=difference.difference + reach,
        p_value=max(not_lower, not_higher),
        p_adjusted=None,
        is_equivalent=False,
    )


def with_equivalence(runs: Sequence[ComparedRun], margin: float) -> list[ComparedRun]:
    """Every run with its test; those by the headline filter are one Holm family."""
    found = [equivalence(run.difference, margin) for run in runs]
    adjusted: dict[int, float | None] = {}
    for is_headline in (True, False):
        family = [i for i, run in enumerate(runs) if run.is_headline is is_headline]
        raw = [None if (one := found[i]) is None else one.p_value for i in family]
        adjusted.update(zip(family, holm(raw), strict=True))
    return [
        run if one is None else run.model_copy(update={"equivalence": _judged(one, adjusted[i])})
        for i, (run, one) in enumerate(zip(runs, found, strict=True))
    ]


def _judged(found: Equivalence, p_adjusted: float | None) -> Equivalence:
    is_equivalent = p_adjusted is not None and p_adjusted < ALPHA
    return found.model_copy(update={"p_adjusted": p_adjusted, "is_equivalent": is_equivalent})


def equivalence_sentence(name: str, baseline: str, found: Equivalence) -> str:
    """What the test says, in one sentence."""
    margin, low, high = (
        points(value, signed=False) for value in (found.margin, found.low, found.high)
    )
    where = f"90 % interval {low} to {high} points, {p_phrase(found.p_adjusted)}"
    if found.is_equivalent:
        return f"Within {margin} points {name} and {baseline} are equally good ({where})."
    return (
        f"It is not shown that {name} and {baseline} are equally good within {margin} points "
        f"({where})."
    )
