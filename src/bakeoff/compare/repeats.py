"""Trainings that a study did several times for their times alone.

Only the first of them has a model: losses and scores are its own, and what it cost is the median of
all of them, with the lowest and the highest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bakeoff.schema.record import Record


@dataclass(frozen=True)
class Spread:
    """One figure of several runs."""

    median: float
    low: float
    high: float
    count: int


def without_repeats(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.repeat_of is None]


def turns_of(run_id: str, records: Sequence[Record]) -> list[Record]:
    """A training and what repeats it, those that finished, in turn."""
    found = [r for r in records if run_id in (r.run_id, r.repeat_of) and r.status == "finished"]
    return sorted(found, key=lambda record: record.turn)


def spread(records: Sequence[Record], figure: Callable[[Record], float | None]) -> Spread | None:
    """None where none of the runs measured it."""
    values = [value for value in map(figure, records) if value is not None]
    if not values:
        return None
    return Spread(median(values), min(values), max(values), len(values))
