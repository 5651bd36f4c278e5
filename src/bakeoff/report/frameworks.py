"""The section "Frameworks side by side": one column a trainer, one line a fact."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from bakeoff.compare import numbers
from bakeoff.compare.frameworks import (
    Figure,
    Score,
    SideBySide,
    Trainer,
    num_tests,
    ratio,
    same_batches,
)
from bakeoff.compare.names import BUILTIN
from bakeoff.compare.phrases import ENGLISH, Voice
from bakeoff.report.framework_words import (
    basis,
    costs,
    counters,
    headings,
    in_text,
    peak_bytes,
    ratio_text,
    same_work,
    score_label,
    score_verdicts,
    train_seconds,
    unlike_work,
)
from bakeoff.report.results import interval_text, tone_of
from bakeoff.report.settings import flatten
from bakeoff.report.table import Cell, Column, Table
from bakeoff.schema.record import Record

_TIMES = "\N{MULTIPLICATION SIGN}"
_PACKAGES = ("torch", "transformers", "peft")
_SPELLED_DIFFERENTLY = frozenset({"lora_target_modules", "lora_init", "seed", "batch_digest"})
"""Settings with a line of their own, or that trainers write in their own words: the layers of an
adapter show in the number of trained parameters, where it starts in the first loss."""


@dataclass(frozen=True)
class FrameworksPart:
    """What the section says of one cell of the matrix."""

    heading: str
    """Empty where there is one cell only."""

    sentences: list[str]
    table: Table
    settings: Table | None
    """What the trainers were set to differently; None: nothing that more than one reports."""


def frameworks_parts(sides: Sequence[SideBySide], voice: Voice = ENGLISH) -> list[FrameworksPart]:
    tests = num_tests(sides)
    return [
        FrameworksPart(
            heading=heading if len(sides) > 1 else "",
            sentences=[
                *filter(None, (same_work(side), unlike_work(side), costs(side))),
                *score_verdicts(side, tests, voice),
            ],
            table=_table(side, tests),
            settings=_settings_table(side),
        )
        for heading, side in zip(headings(sides), sides, strict=True)
    ]


def _table(side: SideBySide, tests: int) -> Table:
    columns = [Column("", "left"), *(Column(trainer.title) for trainer in side.trainers)]
    lines = [
        *_outcome(side),
        _work(side),
        *_costs(side),
        *_losses(side),
        *_scores(side),
        *_versions(side),
    ]
    shown = [
        [Cell(label), *found]
        for label, found in lines
        if any(cell.text not in (numbers.MISSING, "") for cell in found)
    ]
    return Table(columns, shown, note=_note(side, tests), key="frameworks")


Line = tuple[str, list[Cell]]


def _note(side: SideBySide, tests: int) -> str:
    pairs = max((len(trainer.trainings) for trainer in side.others), default=0)
    text = f"{_TIMES} is a multiple of {in_text(side.reference)}'s figure: {basis(pairs)}. "
    if pairs > 1:
        text += "Other figures are means over the runs, ± their standard deviation. "
    text += "Training time counts optimiser steps only. "
    if tests:
        text += (
            "Differences are paired, question by question: bootstrap interval (BCa) and exact "
            f"McNemar test, p-values Holm-adjusted over {tests} test{'s' * (tests > 1)}: each "
            "trainer against the reference, a family of its own."
        )
    return text.strip()


def _outcome(side: SideBySide) -> Iterator[Line]:
    if any(trainer.unfinished for trainer in side.trainers):
        yield "Outcome", [Cell(_outcome_text(trainer)) for trainer in side.trainers]


def _outcome_text(trainer: Trainer) -> str:
    states = dict.fromkeys(
        record.status.replace("_", " ") for record in (*trainer.trainings, *trainer.unfinished)
    )
    return ", ".join(states)


def _of(name: Literal["wall_seconds", "setup_seconds", "step_seconds_median"]) -> Figure:
    return lambda record: _measured(record, name)


def _measured(record: Record, name: str) -> float | None:
    value = getattr(record.measurement, name) if record.measurement else None
    return None if value is None else float(value)


def _costs(side: SideBySide) -> Iterator[Line]:
    where = counters(side.trainers)
    memory = f"Peak memory ({next(iter(where))})" if len(where) == 1 else "Peak memory"
    yield _figures(side, "Whole run", _of("wall_seconds"), numbers.seconds)
    yield _figures(side, "Before the first step", _of("setup_seconds"), numbers.seconds)
    yield _figures(side, "Training", train_seconds, numbers.seconds, compared=True)
    yield _figures(side, "Median step", _of("step_seconds_median"), _step_text, compared=True)
    yield _figures(
        side, "Tokens/s", lambda record: _measured(record, "tokens_per_second"), numbers.rate
    )
    yield _figures(side, memory, peak_bytes, _bytes_text, compared=len(where) == 1)


def _step_text(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _bytes_text(value: float) -> str:
    return numbers.num_bytes(round(value))


def _losses(side: SideBySide) -> Iterator[Line]:
    for split, words in (("train", "Training loss"), ("validation", "Validation loss")):
        for place, name in ((0, "first"), (-1, "last")):
            figure = _loss(split, place)
            yield _figures(side, f"{words}, {name}", figure, "{:.4f}".format)


def _loss(split: str, place: int) -> Figure:
    def figure(record: Record) -> float | None:
        found = [point.loss for point in record.losses if point.split == split]
        return found[place] if found else None

    return figure


def _figures(
    side: SideBySide,
    label: str,
    figure: Figure,
    text: Callable[[float], str],
    *,
    compared: bool = False,
) -> Line:
    cells = []
    for trainer in side.trainers:
        shown = _spread(trainer.values(figure), text)
        if compared and trainer in side.others:
            multiple = ratio(trainer, side.reference, figure)
            shown += f", {_TIMES} {ratio_text(multiple)}" if multiple is not None else ""
        cells.append(Cell(shown))
    return label, cells


def _spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    if not values:
        return numbers.MISSING
    mean = text(fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {text(stdev(values))}"


def _scores(side: SideBySide) -> Iterator[Line]:
    by_label: dict[str, dict[str, Score]] = {}
    for score in side.scores:
        by_label.setdefault(score_label(side, score), {})[score.backend] = score
    for label, found in by_label.items():
        scores = [found.get(trainer.backend) for trainer in side.trainers]
        yield label, [Cell(_accuracy_text(score)) for score in scores]
        if any(score is not None and score.difference is not None for score in scores):
            yield f"{label}, difference in points", [_difference_cell(s) for s in scores]
            yield "95 % interval", [Cell(interval_text(s.interval if s else None)) for s in scores]
            yield "p (Holm)", [Cell(numbers.p_value(s.p_adjusted if s else None)) for s in scores]


def _accuracy_text(score: Score | None) -> str:
    if score is None:
        return numbers.MISSING
    if score.stderr is not None:
        return f"{100 * score.accuracies[0]:.1f} ± {100 * score.stderr:.1f} %"
    mean = numbers.percent(fmean(score.accuracies))
    if len(score.accuracies) == 1:
        return mean
    return f"{mean}, SD {numbers.points(stdev(score.accuracies), signed=False)}"


def _difference_cell(score: Score | None) -> Cell:
    if score is None or score.difference is None:
        return Cell(numbers.MISSING)
    return Cell(numbers.points(score.difference), tone_of(score.difference, score.p_adjusted))


def _work(side: SideBySide) -> Line:
    words = {True: "the same", False: "others", None: "not known"}
    cells = [
        Cell(numbers.MISSING)
        if not trainer.trainings
        else Cell("reference")
        if trainer is side.reference
        else Cell(words[same], "bad" if same is False else "")
        for trainer in side.trainers
        for same in (same_batches(trainer, side.reference),)
    ]
    return "Token ids and labels", cells


def _versions(side: SideBySide) -> Iterator[Line]:
    yield "Version", [Cell(_own_version(trainer)) for trainer in side.trainers]
    for name in _PACKAGES:
        yield name, [Cell(_version(trainer, name)) for trainer in side.trainers]


def _own_version(trainer: Trainer) -> str:
    if trainer.backend == BUILTIN:
        found = dict.fromkeys(r.provenance.bakeoff_version for r in trainer.trainings)
        return ", ".join(f"bakeoff {version}" for version in found) or numbers.MISSING
    return _version(trainer, trainer.backend, f"ms-{trainer.backend}")


def _version(trainer: Trainer, *names: str) -> str:
    """Of the first of these packages that a run had."""
    packages = [record.provenance.packages for record in trainer.trainings]
    found = dict.fromkeys(has[name] for has in packages for name in names if name in has)
    return ", ".join(found) or numbers.MISSING


def _settings_table(side: SideBySide) -> Table | None:
    """Of the first training of each: settings that all report, with other values."""
    flat = {t.title: flatten(t.trainings[0].effective) for t in side.trainers if t.trainings}
    if len(flat) < 2:
        return None
    first = next(iter(flat.values()))
    lines = []
    for key in first:
        values = [settings.get(key) for settings in flat.values()]
        if key not in _SPELLED_DIFFERENTLY and None not in values and len(set(values)) > 1:
            lines.append([Cell(key), *(Cell(value or "") for value in values)])
    if not lines:
        return None
    columns = [Column("Setting", "left"), *(Column(title, "left") for title in flat)]
    note = "As each trainer resolved it; what only one of them has a word for is left out."
    return Table(columns, lines, note=note, key="frameworks-settings")
