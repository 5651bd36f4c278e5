"""Two methods rather than two checkpoints: every seed of each that was trained."""

from collections.abc import Sequence
from statistics import fmean

from bakeoff.compare import numbers
from bakeoff.compare.comparable import why_not_comparable
from bakeoff.compare.names import is_base, named_in_text
from bakeoff.compare.samples import by_item, metric_key, of_score, scores_items
from bakeoff.compare.stats import hierarchical_interval
from bakeoff.compare.tables import Samples
from bakeoff.schema.comparison import AcrossSeeds
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Record, Score


def seed_siblings(record: Record, known: Sequence[Record]) -> list[Record]:
    """The evaluations of the same cell of the same study with any seed, this one among them."""
    if is_base(record) or "seed" not in record.cell:
        return [record]
    found = {
        other.run_id: other
        for other in known
        if other.kind == "eval"
        and other.status == "finished"
        and other.study == record.study
        and _without_seed(other) == _without_seed(record)
        and _asked(other) == _asked(record)
    }
    return list({record.run_id: record, **found}.values())


def across_seeds(
    record: Record,
    baseline: Record,
    score: Score,
    *,
    siblings: tuple[Sequence[Record], Sequence[Record]],
    names: tuple[str, str],
    samples: Samples,
) -> AcrossSeeds | None:
    """The difference of the two methods; None where neither was trained with several seeds.

    Args:
        record: one evaluation of the method.
        baseline: one of what it is held against.
        score: what counts.
        siblings: of each its ``seed_siblings``.
        names: of the method and of the baseline.
        samples: scored items of all of them.
    """
    own, others = ([r for r in side if _is_like(r, record, score, samples)] for side in siblings)
    if max(len(own), len(others)) < 2 or not others:
        return None
    items = list(by_item(of_score(samples[record.run_id], score)))
    ours, theirs = ([_values(r, score, items, samples) for r in side] for side in (own, others))
    means = fmean(map(fmean, ours)), fmean(map(fmean, theirs))
    found = AcrossSeeds(
        name=names[0],
        baseline_name=names[1],
        filter=score.filter,
        metric=score.metric,
        seeds=tuple(r.cell.get("seed") for r in own),
        baseline_seeds=() if is_base(baseline) else tuple(r.cell.get("seed") for r in others),
        mean=means[0],
        baseline_mean=means[1],
        mean_difference=means[0] - means[1],
        interval=hierarchical_interval(ours, theirs),
        verdict="",
    )
    return found.model_copy(update={"verdict": _verdict(found)})


def _is_like(other: Record, record: Record, score: Score, samples: Samples) -> bool:
    if other.run_id == record.run_id:
        return True
    answers = samples[other.run_id], samples[record.run_id]
    return scores_items(answers[0], score) and not why_not_comparable(other, record, *answers)


def _values(
    record: Record, score: Score, items: Sequence[tuple[str, int]], samples: Samples
) -> list[float]:
    own, key = by_item(of_score(samples[record.run_id], score)), metric_key(score)
    return [own[item].correct[key] for item in items]


def _without_seed(record: Record) -> dict[str, AxisValue]:
    return {axis: value for axis, value in record.cell.items() if axis != "seed"}


def _asked(record: Record) -> set[tuple[str, int, str]]:
    return {(score.task, score.num_fewshot, score.engine) for score in record.scores}


def _verdict(found: AcrossSeeds) -> str:
    """Of the methods, in one sentence."""
    several = [_seeds(found.name, len(found.seeds))]
    if found.baseline_seeds:
        several.append(_seeds(named_in_text(found.baseline_name), len(found.baseline_seeds)))
    text = (
        f"Over {' and '.join(several)}: {numbers.percent(found.mean)} against "
        f"{numbers.percent(found.baseline_mean)}, {numbers.points(found.mean_difference)} points"
    )
    if found.interval is None:
        return f"{text}."
    low, high = found.interval.low, found.interval.high
    text += (
        f" (95 % interval {numbers.points(low, signed=False)} to "
        f"{numbers.points(high, signed=False)}, seeds and questions both drawn again)"
    )
    if low <= 0 <= high:
        return f"{text}, which may be chance."
    return f"{text}: the method is {'better' if low > 0 else 'worse'}, not only this checkpoint."


def _seeds(name: str, number: int) -> str:
    return f"{number} seeds of {name}" if number > 1 else f"one seed of {name}"
