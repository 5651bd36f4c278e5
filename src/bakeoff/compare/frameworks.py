"""Trainings that differ in nothing but their backend, side by side.

The built-in trainer is the reference where it finished, else the first backend that did. Costs are
held against it by pairs of trainings with the same seed (and of the same turn, where they are
repeated), scores by pairs of answers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from bakeoff.compare.comparable import why_not_comparable
from bakeoff.compare.names import BUILTIN, backend_title
from bakeoff.compare.samples import by_item, metric_key, of_score, scores_items
from bakeoff.compare.stats import hierarchical_interval, holm
from bakeoff.compare.tables import Samples, difference_of
from bakeoff.schema.comparison import Interval, PairedDifference
from bakeoff.schema.figures import headline
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Record

Figure = Callable[[Record], float | None]
"""Reads a number of a training; None where it was not measured."""


@dataclass(frozen=True)
class Trainer:
    """One backend's trainings of one cell."""

    backend: str
    trainings: tuple[Record, ...]
    """Those that finished, by seed and turn."""

    unfinished: tuple[Record, ...]

    @property
    def title(self) -> str:
        return backend_title(self.backend)

    def values(self, figure: Figure) -> list[float]:
        """One a training, without those that did not measure it."""
        found = (figure(record) for record in self.trainings)
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Ratio:
    """A trainer's figure over the reference's: the median of pairs with the same seed."""

    median: float
    low: float
    high: float
    num_pairs: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a trainer's models answered right in one way of asking, by the headline filter."""

    backend: str
    task: str
    num_fewshot: int
    num_items: int
    accuracies: tuple[float, ...]
    """One a seed."""

    stderr: float | None
    """Of a single model's accuracy."""

    reference_accuracy: float | None = None
    """The mean over the seeds that both have; None for the reference itself."""

    difference: float | None = None
    """To the reference, the mean over seeds; None where there is nothing to compare."""

    interval: Interval | None = None
    paired: PairedDifference | None = None
    """The test behind it; None with several seeds, where the interval alone decides."""

    p_adjusted: float | None = None
    """Holm-adjusted over all such tests of the study."""


@dataclass(frozen=True)
class SideBySide:
    cell: dict[str, AxisValue]
    """What the trainers have in common, without the seed."""

    trainers: tuple[Trainer, ...]
    """The first is the reference."""

    scores: tuple[Score, ...]

    @property
    def reference(self) -> Trainer:
        return self.trainers[0]

    @property
    def others(self) -> tuple[Trainer, ...]:
        """Those with something to hold against the reference."""
        return tuple(trainer for trainer in self.trainers[1:] if trainer.trainings)


def side_by_side(records: Sequence[Record], samples: Samples) -> list[SideBySide]:
    """One for each cell that several backends trained and at least one of them finished."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "train" and "backend" in record.cell:
            groups.setdefault(repr(sorted(_common(record).items())), []).append(record)
    found = []
    for group in groups.values():
        trainers = _trainers(group)
        if len(trainers) > 1 and trainers[0].trainings:
            scores = tuple(_scores(trainers, records, samples))
            found.append(SideBySide(_common(group[0]), trainers, scores))
    return _with_holm(found)


def _common(record: Record) -> dict[str, AxisValue]:
    return {axis: value for axis, value in record.cell.items() if axis not in ("backend", "seed")}


def _trainers(group: Sequence[Record]) -> tuple[Trainer, ...]:
    backends = dict.fromkeys(str(record.cell["backend"]) for record in group)
    trainers = [
        _trainer(name, [r for r in group if r.cell["backend"] == name]) for name in backends
    ]
    # The sort is stable: otherwise in the order of the recipe.
    return tuple(sorted(trainers, key=lambda t: (not t.trainings, t.backend != BUILTIN)))


def _trainer(backend: str, records: Sequence[Record]) -> Trainer:
    ordered = sorted(records, key=lambda record: (repr(record.cell.get("seed")), record.turn))
    finished = tuple(record for record in ordered if record.status == "finished")
    return Trainer(backend, finished, tuple(r for r in ordered if r.status != "finished"))


def pairs(trainer: Trainer, reference: Trainer) -> list[tuple[Record, Record]]:
    """Trainings of both with the same seed and of the same turn."""
    known = {(record.cell.get("seed"), record.turn): record for record in reference.trainings}
    found = ((r, known.get((r.cell.get("seed"), r.turn))) for r in trainer.trainings)
    return [(record, other) for record, other in found if other is not None]


def ratio(trainer: Trainer, reference: Trainer, figure: Figure) -> Ratio | None:
    """None where it was not measured, or is zero for the reference."""
    measured = [(figure(record), figure(other)) for record, other in pairs(trainer, reference)]
    values = [own / other for own, other in measured if own is not None and other]
    if not values:
        return None
    return Ratio(median(values), min(values), max(values), len(values))


def same_batches(trainer: Trainer, reference: Trainer) -> bool | None:
    """Whether both trained on the same token ids and labels in the same order; None: not known."""
    found = [
        (record.effective.get("batch_digest"), other.effective.get("batch_digest"))
        for record, other in pairs(trainer, reference)
    ]
    if any(own != other for own, other in found if own and other):
        return False
    return True if found and all(own and other for own, other in found) else None


def num_tests(sides: Sequence[SideBySide]) -> int:
    """Size of the Holm family."""
    return sum(_raw_p(score) is not None for side in sides for score in side.scores)


_Asked = tuple[str, int, str]
"""Task, number of examples, and what else the matrix varies of the evaluation."""


def _scores(
    trainers: Sequence[Trainer], records: Sequence[Record], samples: Samples
) -> Iterator[Score]:
    evaluated = {t.backend: _by_asked(t, records) for t in trainers}
    reference = evaluated[trainers[0].backend]
    for asked in dict.fromkeys(key for found in evaluated.values() for key in found):
        for trainer in trainers:
            own = evaluated[trainer.backend].get(asked)
            if own:
                others = {} if trainer is trainers[0] else reference.get(asked, {})
                yield _against(_score(trainer, list(own.values())), own, others, samples)


def _by_asked(trainer: Trainer, records: Sequence[Record]) -> dict[_Asked, dict[AxisValue, Record]]:
    """Evaluations of the trainer's models by way of asking and seed."""
    seeds = {record.run_id: record.cell.get("seed") for record in trainer.trainings}
    found: dict[_Asked, dict[AxisValue, Record]] = {}
    for record in records:
        if record.parent_run_id in seeds and record.status == "finished" and record.scores:
            score = headline(record.scores)
            settings = {k: v for k, v in record.cell.items() if k.startswith("evaluate.")}
            asked = (score.task, score.num_fewshot, repr(sorted(settings.items())))
            found.setdefault(asked, {})[seeds[record.parent_run_id]] = record
    return found


def _score(trainer: Trainer, evaluations: Sequence[Record]) -> Score:
    scores = [headline(record.scores) for record in evaluations]
    return Score(
        backend=trainer.backend,
        task=scores[0].task,
        num_fewshot=scores[0].num_fewshot,
        num_items=scores[0].num_samples,
        accuracies=tuple(score.value for score in scores),
        stderr=scores[0].stderr if len(scores) == 1 else None,
    )


def _against(
    score: Score,
    own: dict[AxisValue, Record],
    others: dict[AxisValue, Record],
    samples: Samples,
) -> Score:
    """The score with its difference, where every pair of evaluations can be compared."""
    both = [(own[seed], others[seed]) for seed in own if seed in others]
    if not both or any(not _comparable(a, b, samples) for a, b in both):
        return score
    found = [
        difference_of(headline(a.scores), samples[a.run_id], samples[b.run_id]) for a, b in both
    ]
    return replace(
        score,
        reference_accuracy=fmean(one.baseline_mean for one in found),
        difference=fmean(one.difference for one in found),
        interval=found[0].interval if len(found) == 1 else _seeds_interval(both, samples),
        paired=found[0] if len(found) == 1 else None,
    )


def _comparable(a: Record, b: Record, samples: Samples) -> bool:
    answers = samples[a.run_id], samples[b.run_id]
    return scores_items([*answers[0], *answers[1]], headline(a.scores)) and not why_not_comparable(
        a, b, *answers
    )


def _seeds_interval(both: Sequence[tuple[Record, Record]], samples: Samples) -> Interval | None:
    """Of the mean difference, seeds and items both drawn again."""
    score = headline(both[0][0].scores)
    key, first = metric_key(score), samples[both[0][0].run_id]
    items = list(by_item(of_score(first, score)))
    return hierarchical_interval([_item_differences(a, b, key, items, samples) for a, b in both])


def _item_differences(
    a: Record, b: Record, key: str, items: Sequence[tuple[str, int]], samples: Samples
) -> list[float]:
    own, other = by_item(samples[a.run_id]), by_item(samples[b.run_id])
    return [own[item].correct[key] - other[item].correct[key] for item in items]


def _raw_p(score: Score) -> float | None:
    return score.paired.p_value if score.paired is not None else None


def _with_holm(sides: Sequence[SideBySide]) -> list[SideBySide]:
    adjusted = iter(holm([_raw_p(score) for side in sides for score in side.scores]))
    return [
        replace(
            side,
            scores=tuple(replace(score, p_adjusted=next(adjusted)) for score in side.scores),
        )
        for side in sides
    ]
