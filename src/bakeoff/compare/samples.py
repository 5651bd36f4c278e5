"""Per-item outputs: from disk, and paired item by item."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.files import iter_jsonl
from bakeoff.schema.record import Record, Sample, Score

ItemKey = tuple[str, int]
"""Digest of an item, and which of its equals it is: a test split may ask a question twice."""


def load_samples(runs_dir: Path, record: Record) -> tuple[Sample, ...]:
    """Every scored item of an evaluation; none for a run without scores.

    Raises:
        UserError: the record names a file that is not there, or that holds something else.
    """
    paths = dict.fromkeys(score.samples_path for score in record.scores)
    samples: list[Sample] = []
    for name in paths:
        path = runs_dir / record.run_id / name
        try:
            samples += [Sample.model_validate(row) for row in iter_jsonl(path)]
        except FileNotFoundError as error:
            raise UserError(
                f"run {record.run_id} has no {name} in {path.parent}",
                hint="its answers were deleted; delete the run's folder and run the study again",
            ) from error
        except ValueError as error:
            raise UserError(
                f"{path} is not a file of scored answers: {str(error).splitlines()[0]}",
                hint="delete the run's folder and run the study again",
            ) from error
    return tuple(samples)


def by_item(samples: Sequence[Sample]) -> dict[ItemKey, Sample]:
    """Samples by item, in order; equal questions are told apart by their order."""
    seen: Counter[str] = Counter()
    keyed = {}
    for sample in samples:
        keyed[sample.item_digest, seen[sample.item_digest]] = sample
        seen[sample.item_digest] += 1
    return keyed


def paired(a: Sequence[Sample], b: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """Samples of the items that both have, in the order of ``a``."""
    others = by_item(b)
    return [(sample, others[key]) for key, sample in by_item(a).items() if key in others]


def metric_key(score: Score) -> str:
    """Under which ``Sample.correct`` holds this score's items."""
    return f"{score.metric},{score.filter}"


def of_task(samples: Sequence[Sample], task: str) -> Sequence[Sample]:
    """The items of a task, or all where it is what the whole run asked (a group, `data`)."""
    own = [sample for sample in samples if sample.task == task]
    return own or samples


def of_score(samples: Sequence[Sample], score: Score) -> Sequence[Sample]:
    """The items behind a score; none behind that of a group within a group."""
    own = of_task(samples, score.task)
    return () if score.group is not None and own is samples else own


def scores_items(samples: Sequence[Sample], score: Score) -> bool:
    """Whether every item has a number of its own; a perplexity or a BLEU has not."""
    key = metric_key(score)
    items = of_score(samples, score)
    return bool(items) and all(key in sample.correct for sample in items)


def vectors(
    pairs: Sequence[tuple[Sample, Sample]], score: Score
) -> tuple[list[float], list[float]]:
    """The two models' item scores; ask ``scores_items`` first."""
    key = metric_key(score)
    return [a.correct[key] for a, _ in pairs], [b.correct[key] for _, b in pairs]


def clusters(pairs: Sequence[tuple[Sample, Sample]]) -> list[str] | None:
    """Which items hang together; None: it is not known, or each stands alone."""
    known = [a.cluster for a, _ in pairs]
    return None if None in known else [f"{cluster}" for cluster in known]
