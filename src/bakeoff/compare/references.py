"""Runs held against published scores: does this machine measure what others measured?"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bakeoff.base.errors import UserError
from bakeoff.compare import numbers
from bakeoff.compare.names import is_base, name_runs
from bakeoff.compare.stats import wilson_interval
from bakeoff.schema.comparison import Interval
from bakeoff.schema.record import Record, Score
from bakeoff.schema.reference import AgainstReference, Reference

SHIPPED = Path(__file__).with_name("references.json")
_REFERENCES = TypeAdapter(tuple[Reference, ...])


def read_references(path: Path = SHIPPED) -> tuple[Reference, ...]:
    """Those of a file, a JSON list of :class:`Reference`.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return _REFERENCES.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"{path} is not a list of published scores: {str(error).splitlines()[0]}",
            hint=f"{SHIPPED} shows the form",
        ) from error


def against_references(
    records: Sequence[Record], references: Sequence[Reference]
) -> list[AgainstReference]:
    """Every score of every run against each published one of the same task and form.

    Raises:
        UserError: There is none for these runs.
    """
    names = name_runs(records)
    found = [
        _held(record, names[record.run_id], score, reference)
        for record in records
        for score in record.scores
        for reference in _for_model(record, [r for r in references if _is_alike(score, r)])
    ]
    if not found:
        known = sorted({f"{r.task} {r.num_fewshot}-shot ({r.model})" for r in references})
        raise UserError(
            "no published score is known for the tasks and examples of these runs",
            hint=f"known: {', '.join(known)}; --reference-file names others",
        )
    return found


def _is_alike(score: Score, reference: Reference) -> bool:
    fields = ("task", "metric", "filter", "num_fewshot")
    return all(getattr(score, name) == getattr(reference, name) for name in fields)


def _for_model(record: Record, references: list[Reference]) -> list[Reference]:
    """Those of the run's own model; where there is none, of others, which is then told."""
    own = [r for r in references if _same_model(record, r)]
    return own or references


def _same_model(record: Record, reference: Reference) -> bool:
    source = record.provenance.model_source.replace("\\", "/").rstrip("/")
    return source.rpartition("/")[2].casefold() == reference.model.rpartition("/")[2].casefold()


def _held(record: Record, name: str, score: Score, reference: Reference) -> AgainstReference:
    difference = score.value - reference.value
    theirs = reference.stderr or _share_error(reference.value, reference.num_items)
    interval = newcombe_interval(
        (score.value, score.num_samples), (reference.value, reference.num_items)
    )
    differing = tuple(_differing(record, score, reference))
    return AgainstReference(
        run_id=record.run_id,
        name=name,
        score=score.value,
        stderr=score.stderr,
        num_items=score.num_samples,
        reference=reference,
        reference_stderr=theirs,
        difference=difference,
        interval=interval,
        p_value=_fisher_p(score, reference),
        verdict=_verdict(name, score, reference, interval, differing),
        differing=differing,
    )


def _share_error(share: float, num_items: int) -> float:
    """As the harness computes it."""
    return math.sqrt(share * (1 - share) / max(1, num_items - 1))


def newcombe_interval(ours: tuple[float, int], theirs: tuple[float, int]) -> Interval:
    """95 % interval of the difference of two shares, each (share, number of items).

    Newcombe 1998, method 10: of Wilson's intervals of the two. Sound where a share is 0 or 1, where
    the normal approximation would claim certainty.
    """
    (share, _), (other, _) = ours, theirs
    # The count need not be whole: a published share is rounded.
    own, others = (wilson_interval(part * count, count) for part, count in (ours, theirs))
    difference = share - other
    return Interval(
        low=difference - math.hypot(share - own.low, others.high - other),
        high=difference + math.hypot(own.high - share, other - others.low),
        method="newcombe",
    )


def _fisher_p(score: Score, reference: Reference) -> float:
    """Two-sided, by the whole numbers nearest to the shares."""
    import numpy as np  # noqa: PLC0415 - heavy, see `bakeoff.compare.stats`
    from scipy import stats  # noqa: PLC0415

    sides = ((score.value, score.num_samples), (reference.value, reference.num_items))
    table = [[right := round(share * size), size - right] for share, size in sides]
    return float(stats.fisher_exact(np.array(table)).pvalue)


def _differing(record: Record, score: Score, reference: Reference) -> Iterator[str]:
    if not _same_model(record, reference):
        yield f"another model: {record.provenance.model_source} here, {reference.model} there"
    if not is_base(record):
        yield "the model was trained further here"
    if score.num_samples != reference.num_items:
        yield f"{score.num_samples} items here, {reference.num_items} there"
    used = {**record.effective, "engine": score.engine}
    for key, value in reference.settings.items():
        if used.get(key) != value:
            yield f"`{key}` is {used.get(key)} here, {value} there"


def _verdict(
    name: str,
    score: Score,
    reference: Reference,
    interval: Interval | None,
    differing: Sequence[str],
) -> str:
    text = (
        f"{name[:1].upper()}{name[1:]} scores {numbers.percent(score.value, digits=2)} by "
        f"{score.filter}, {numbers.percent(reference.value, digits=2)} are published for "
        f"{reference.model}"
    )
    if interval is None:
        return f"{text}."
    low, high = (numbers.points(value, signed=False) for value in (interval.low, interval.high))
    difference = numbers.points(score.value - reference.value)
    text += f": {difference} points (95 % interval {low} to {high})"
    if interval.low <= 0 <= interval.high:
        return f"{text}, which chance explains."
    why = "; it was measured otherwise" if differing else ""
    return f"{text}, more than chance explains{why}."
