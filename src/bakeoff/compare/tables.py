"""Records become lines of a table: what each model scored, by how much it differs, what it cost.

A study holds every trained model against the untouched one. The differences by the headline filter
are one Holm family, those by the other filters a second one: the headline is the claim, the others
explain it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakeoff.compare.comparable import notes, same_model, why_not_comparable
from bakeoff.compare.names import is_base, name_runs
from bakeoff.compare.repeats import spread, turns_of
from bakeoff.compare.samples import (
    clusters,
    load_samples,
    metric_key,
    of_score,
    paired,
    scores_items,
    vectors,
)
from bakeoff.compare.stats import holm, paired_difference, wilson_interval
from bakeoff.compare.verdict import format_sentence
from bakeoff.schema.comparison import FormatShare, Interval, PairedDifference, Row
from bakeoff.schema.figures import HEADLINE_FILTER, headline, peak_memory
from bakeoff.schema.record import Record, Sample, Score

FLEXIBLE_FILTER = "flexible-extract"
Samples = Mapping[str, Sequence[Sample]]
"""Scored items by run id."""

NO_ITEM_SCORES = "The base model's items were not scored one by one in this way."


def load_all_samples(records: Sequence[Record], runs_dir: Path) -> dict[str, tuple[Sample, ...]]:
    """Scored items of every finished evaluation. Raises UserError if a file is missing."""
    return {
        record.run_id: load_samples(runs_dir, record)
        for record in records
        if record.kind == "eval" and record.status == "finished"
    }


def study_rows(records: Sequence[Record], samples: Samples) -> list[Row]:
    """A row for every finished evaluation and filter, base models first, then as recorded.

    Args:
        records: of one study: trainings and evaluations.
        samples: from ``load_all_samples``.
    """
    evals = [r for r in records if r.kind == "eval" and r.status == "finished" and r.scores]
    ordered = sorted(evals, key=lambda record: not is_base(record))
    study = _Study(records, samples, [record for record in evals if is_base(record)])
    return _with_holm([row for record in ordered for row in study.rows(record)])


class _Study:
    """What the rows of one study have in common."""

    def __init__(
        self, records: Sequence[Record], samples: Samples, bases: Sequence[Record]
    ) -> None:
        self._names = name_runs(records)
        self._records = records
        self._by_id = {record.run_id: record for record in records}
        self._samples = samples
        self._bases = bases

    def rows(self, record: Record) -> list[Row]:
        base, reasons = self._base_of(record)
        # Of a group its own score: dozens of tasks would bury the rest of the table.
        shown = [score for score in record.scores if score.group is None]
        return [self._row(record, score, base, reasons) for score in shown]

    def _base_of(self, record: Record) -> tuple[Record | None, list[str]]:
        """The untouched model's evaluation that answers for this one, or why there is none."""
        if is_base(record):
            return None, []
        asked = _asked(record)
        found = [b for b in self._bases if same_model(b, record) and _asked(b) == asked]
        # The one that was evaluated most alike: of two batch sizes, the one with the same.
        found.sort(key=lambda base: len(notes(base, record)))
        refused = []
        for base in found:
            own, others = self._samples[record.run_id], self._samples[base.run_id]
            reasons = why_not_comparable(base, record, others, own)
            if not reasons:
                return base, []
            refused.append(reasons)
        missing = ["The base model was not evaluated on this task in this way."]
        return None, min(refused, key=len, default=missing)

    def _row(
        self, record: Record, score: Score, base: Record | None, reasons: Sequence[str]
    ) -> Row:
        own = of_score(self._samples[record.run_id], score)
        others = of_score(self._samples[base.run_id], score) if base else ()
        if base is not None and not scores_items(others, score):
            base, reasons = None, [NO_ITEM_SCORES]
        return Row(
            run_id=record.run_id,
            name=self._names[record.run_id],
            is_base=is_base(record),
            train_run_id=record.parent_run_id,
            baseline_run_id=base.run_id if base else None,
            cell=record.cell,
            task=score.task,
            metric=score.metric,
            filter=score.filter,
            is_headline=score == headline(record.scores),
            num_fewshot=score.num_fewshot,
            accuracy=score.value,
            stderr=score.stderr,
            accuracy_interval=_accuracy_interval(score, own),
            num_items=score.num_samples,
            difference=difference_of(score, own, others) if base else None,
            p_adjusted=None,
            share_token_limit=_share_token_limit(own),
            notes=tuple(reasons),
            **_cost(self._by_id.get(record.parent_run_id or ""), self._records),
        )


def _asked(record: Record) -> set[tuple[str, int]]:
    return {(score.task, score.num_fewshot) for score in record.scores}


def difference_of(
    score: Score, model: Sequence[Sample], baseline: Sequence[Sample]
) -> PairedDifference:
    """Of two comparable evaluations, by the metric and filter of ``score``."""
    pairs = paired(of_score(model, score), of_score(baseline, score))
    return paired_difference(*vectors(pairs, score), clusters=clusters(pairs))


def _accuracy_interval(score: Score, samples: Sequence[Sample]) -> Interval | None:
    """Wilson's, where every item is right or wrong; None for graded scores."""
    values = [sample.correct.get(metric_key(score)) for sample in samples]
    if not values or any(value not in (0, 1) for value in values):
        return None
    return wilson_interval(values.count(1), len(values))


def _share_token_limit(samples: Sequence[Sample]) -> float | None:
    known = [s.hit_token_limit for s in samples if s.hit_token_limit is not None]
    return sum(known) / len(known) if known else None


def _cost(training: Record | None, records: Sequence[Record]) -> dict[str, Any]:
    """What a training took, as a ``Row`` has it."""
    turns = turns_of(training.run_id, records) if training is not None else []
    if training is None or not turns:
        return {}
    seconds = spread(turns, lambda r: r.measurement.train_seconds if r.measurement else None)
    tokens = spread(turns, lambda r: r.measurement.tokens_per_second if r.measurement else None)
    peak = spread(turns, lambda r: peak_memory(r.measurement)[0])
    trained = training.effective.get("num_trained_parameters")
    several = len(turns) > 1
    return {
        "train_seconds": seconds.median if seconds else None,
        "train_seconds_range": (seconds.low, seconds.high) if seconds and several else None,
        "tokens_per_second": tokens.median if tokens else None,
        "peak_bytes": round(peak.median) if peak else None,
        "peak_bytes_range": (round(peak.low), round(peak.high)) if peak and several else None,
        "peak_counter": peak_memory(training.measurement)[1],
        "predicted_bytes": _predicted_peak(training, peak_memory(training.measurement)[1]),
        "num_trained_parameters": None if trained is None else int(trained),
        "num_turns": len(turns),
    }


def _predicted_peak(training: Record, counter: str | None) -> int | None:
    """On the host the training's part is predicted: what was there at its start comes on top."""
    prediction, measured = training.prediction, training.measurement
    if prediction is None or measured is None or counter is None:
        return None
    if counter.startswith("host"):
        added, before = prediction.host_bytes, measured.start_host_bytes
        return None if added is None or before is None else added + before
    return {
        "device, whole process": prediction.process_bytes,
        "device, reserved": prediction.reserved_bytes,
        "device, allocated": prediction.allocated_bytes,
    }.get(counter)


def _with_holm(rows: Sequence[Row]) -> list[Row]:
    adjusted: dict[int, float | None] = {}
    for is_headline in (True, False):
        family = [i for i, row in enumerate(rows) if row.is_headline is is_headline]
        adjusted.update(zip(family, holm([_raw_p(rows[i]) for i in family]), strict=True))
    return [row.model_copy(update={"p_adjusted": adjusted[i]}) for i, row in enumerate(rows)]


def _raw_p(row: Row) -> float | None:
    return row.difference.p_value if row.difference else None


def num_tests(rows: Sequence[Row], *, is_headline: bool) -> int:
    """Size of the Holm family."""
    return sum(row.is_headline is is_headline and _raw_p(row) is not None for row in rows)


def format_shares(rows: Sequence[Row]) -> list[FormatShare]:
    """For every model scored both ways: the part of its gain that is form only."""
    flexible = {
        row.run_id: row.difference
        for row in rows
        if row.filter == FLEXIBLE_FILTER and row.difference
    }
    return [
        format_share(row.name, row.num_fewshot, row.difference, flexible[row.run_id])
        for row in rows
        if row.filter == HEADLINE_FILTER and row.difference and row.run_id in flexible
    ]


def format_share(
    name: str, num_fewshot: int, strict: PairedDifference, flexible: PairedDifference
) -> FormatShare:
    return FormatShare(
        name=name,
        num_fewshot=num_fewshot,
        strict_gain=strict.difference,
        flexible_gain=flexible.difference,
        format_gain=strict.difference - flexible.difference,
        text=format_sentence(name, strict.difference, flexible.difference),
    )
