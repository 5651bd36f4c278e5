"""A few questions with both models' answers: what the numbers look like."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.compare.samples import of_task, paired
from bakeoff.compare.tables import Samples
from bakeoff.schema.comparison import Row
from bakeoff.schema.record import Sample

_LONGEST_TEXT = 1500
_MOST_MODELS = 3
NOTHING = "(nothing)"


@dataclass(frozen=True)
class Example:
    """One question, asked of the untouched and of a trained model."""

    heading: str
    prompt: str
    target: str
    base_output: str
    output: str
    tuned_name: str
    flipped_to_right: bool


def pick_examples(rows: Sequence[Row], samples: Samples) -> list[Example]:
    """Of each of the best models the first question that it won and the first that it lost.

    The first in the order of the test split, not the prettiest.
    """
    compared = [row for row in rows if row.is_headline and row.baseline_run_id]
    best = sorted(compared, key=lambda row: -row.accuracy)
    by_training = {row.train_run_id: row for row in reversed(best)}
    chosen = sorted(by_training.values(), key=lambda row: -row.accuracy)[:_MOST_MODELS]
    return [example for row in chosen for example in _flips(row, samples)]


def _flips(row: Row, samples: Samples) -> list[Example]:
    key = f"{row.metric},{row.filter}"
    pairs = paired(
        of_task(samples[row.baseline_run_id or ""], row.task),
        of_task(samples[row.run_id], row.task),
    )
    found = []
    for to_right in (True, False):
        flips = (
            (base, tuned)
            for base, tuned in pairs
            if (tuned.correct[key] - base.correct[key]) * (1 if to_right else -1) > 0
        )
        first = next(flips, None)
        if first is not None:
            found.append(_example(row, *first, to_right=to_right))
    return found


def _example(row: Row, base: Sample, tuned: Sample, *, to_right: bool) -> Example:
    return Example(
        heading=f"{row.name}, {row.num_fewshot}-shot, item {base.index}",
        prompt=_end_of(base.prompt),
        target=_start_of(base.target),
        base_output=_start_of(base.output),
        output=_start_of(tuned.output),
        tuned_name=row.name,
        flipped_to_right=to_right,
    )


def _start_of(text: str) -> str:
    text = text.strip() or NOTHING
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " …"


def _end_of(text: str) -> str:
    """The question stands last; worked examples before it may be long."""
    return text if len(text) <= _LONGEST_TEXT else "… " + text[-_LONGEST_TEXT:]
