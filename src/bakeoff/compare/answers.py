"""Single answers of one evaluation, alone or beside another's: ``bakeoff samples``."""

from collections.abc import Iterator, Sequence

from bakeoff.base.errors import UserError
from bakeoff.compare.samples import metric_key, of_score, paired
from bakeoff.schema.comparison import Flip
from bakeoff.schema.record import Record, Sample, Score


def score_by_filter(record: Record, name: str | None, *, default: Score) -> Score:
    """The score by the filter (or metric) of that name; ``default`` when none is named.

    Raises:
        UserError: There is none.
    """
    if name is None:
        return default
    found = [score for score in record.scores if name in (score.filter, score.metric)]
    if not found:
        known = sorted({f"{score.filter} ({score.metric})" for score in record.scores})
        raise UserError(
            f"{record.run_id} was not scored by `{name}`", hint=f"it was by: {', '.join(known)}"
        )
    return found[0]


def answers(samples: Sequence[Sample], score: Score, *, only_wrong: bool) -> list[Sample]:
    """Those that the score counts, in the order of the test split."""
    key = metric_key(score)
    shown = [sample for sample in of_score(samples, score) if key in sample.correct]
    return [sample for sample in shown if not only_wrong or sample.correct[key] < 1]


def flips(
    samples: Sequence[Sample], before: Sequence[Sample], score: Score, *, only_wrong: bool = False
) -> list[Flip]:
    """Items whose score differs between the two, those that got worse first.

    Args:
        samples: of the evaluation that is looked at.
        before: of the one that it is held against.
        score: which of the metrics counts.
        only_wrong: leave out those that got better.
    """
    found = list(_flips(samples, before, score))
    worse = [flip for flip in found if flip.is_worse]
    return worse if only_wrong else [*worse, *(flip for flip in found if not flip.is_worse)]


def _flips(samples: Sequence[Sample], before: Sequence[Sample], score: Score) -> Iterator[Flip]:
    key = metric_key(score)
    for now, then in paired(of_score(samples, score), of_score(before, score)):
        if now.correct[key] != then.correct[key]:
            worse = now.correct[key] < then.correct[key]
            yield Flip(is_worse=worse, sample=now, other=then)
