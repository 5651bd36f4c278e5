"""The trained models of a study against each other."""

from collections.abc import Sequence
from itertools import combinations

from bakeoff.compare.comparable import why_not_comparable
from bakeoff.compare.names import is_base, name_runs
from bakeoff.compare.samples import scores_items
from bakeoff.compare.stats import holm
from bakeoff.compare.tables import Samples, difference_of
from bakeoff.schema.comparison import Pair
from bakeoff.schema.figures import headline
from bakeoff.schema.record import Record

MOST_MODELS = 6
"""Above this, all pairs would be more than a person reads: 7 models have 21."""


def trained_pairs(records: Sequence[Record], samples: Samples) -> list[Pair]:
    """Every comparable pair, by the headline filter; one Holm family over all of them.

    With more than ``MOST_MODELS`` models asked the same way, none of their pairs is formed: picking
    some by their scores (each against the best, say) would favour the lucky ones.
    """
    models = [r for r in records if r.kind == "eval" and r.status == "finished" and r.scores]
    models = [record for record in models if not is_base(record)]
    names = name_runs(records)
    pairs = []
    for asked in dict.fromkeys(_asked(record) for record in models):
        group = [record for record in models if _asked(record) == asked]
        if len(group) <= MOST_MODELS:
            pairs += [_pair(a, b, names, samples) for a, b in combinations(group, 2)]
    found = [pair for pair in pairs if pair is not None]
    adjusted = holm([pair.difference.p_value for pair in found])
    return [
        pair.model_copy(update={"p_adjusted": p}) for pair, p in zip(found, adjusted, strict=True)
    ]


def _asked(record: Record) -> tuple[str, int]:
    score = headline(record.scores)
    return score.task, score.num_fewshot


def _pair(a: Record, b: Record, names: dict[str, str], samples: Samples) -> Pair | None:
    score = headline(a.scores)
    if not scores_items([*samples[a.run_id], *samples[b.run_id]], score):
        return None
    if why_not_comparable(a, b, samples[a.run_id], samples[b.run_id]):
        return None
    return Pair(
        name=names[a.run_id],
        other_name=names[b.run_id],
        num_fewshot=score.num_fewshot,
        task=score.task,
        difference=difference_of(score, samples[a.run_id], samples[b.run_id]),
        p_adjusted=None,
    )
