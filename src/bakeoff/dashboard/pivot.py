"""A study's runs as a grid: one axis down, another across, the mean of a figure in each field."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bakeoff.compare import numbers
from bakeoff.schema.summary import RunFigures, RunSummary

TASK, SHOTS = "task", "num_fewshot"
Read = Callable[[RunFigures], float | None]


@dataclass(frozen=True)
class Measure:
    """A figure that a field can hold."""

    title: str
    kind: str
    """Of the runs that have it."""

    read: Read
    text: Callable[[float], str]
    more_is_better: bool


MEASURES: dict[str, Measure] = {
    "score": Measure("Right answers", "eval", lambda f: f.score, numbers.percent, True),  # noqa: FBT003
    "loss": Measure("Last loss", "train", lambda f: f.loss, "{:.3f}".format, False),  # noqa: FBT003
    "train_seconds": Measure(
        "Training time", "train", lambda f: f.train_seconds, numbers.seconds, False  # noqa: FBT003
    ),
    "peak_bytes": Measure(
        "Peak memory",
        "train",
        lambda f: f.peak_bytes,
        lambda value: numbers.num_bytes(round(value)),
        False,  # noqa: FBT003
    ),
    "tokens_per_second": Measure(
        "Tokens/s", "train", lambda f: f.tokens_per_second, numbers.rate, True  # noqa: FBT003
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    text: str
    count: int
    is_best: bool


@dataclass(frozen=True)
class Pivot:
    measure: str
    task: str
    tasks: tuple[str, ...]
    down: str
    across: str
    axes: tuple[str, ...]
    """That may be chosen."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Field | None, ...]], ...]


def pivot(runs: Sequence[RunSummary], *, down: str, across: str, measure: str, task: str) -> Pivot:
    """Axes that do not exist are replaced by those that vary most."""
    wanted = MEASURES.get(measure, MEASURES["score"])
    measure = measure if measure in MEASURES else "score"
    chosen = [
        run
        for run in runs
        if run.kind == wanted.kind
        and run.figures is not None
        # The untouched model is in no place of the matrix.
        and (run.kind == "train" or run.parent_run_id is not None)
    ]
    tasks = tuple(dict.fromkeys(run.task for run in chosen if run.task))
    if len(tasks) > 1:
        task = task if task in tasks else tasks[0]
        chosen = [run for run in chosen if run.task == task]
    axes = _axes(chosen)
    down = down if down in axes else (axes[0] if axes else "method")
    others = [axis for axis in axes if axis != down]
    across = across if across in others else (others[0] if others else "")
    groups: dict[tuple[str, str], list[float]] = {}
    for run in chosen:
        value = wanted.read(run.figures) if run.figures else None
        if value is not None:
            groups.setdefault((_at(run, down), _at(run, across)), []).append(value)
    return Pivot(
        measure=measure,
        task=task,
        tasks=tasks,
        down=down,
        across=across,
        axes=axes,
        columns=tuple(dict.fromkeys(column for _, column in groups)),
        rows=_rows(groups, wanted),
    )


def _rows(
    groups: dict[tuple[str, str], list[float]], measure: Measure
) -> tuple[tuple[str, tuple[Field | None, ...]], ...]:
    means = {key: fmean(values) for key, values in groups.items()}
    best = (max if measure.more_is_better else min)(means.values(), default=None)
    columns = tuple(dict.fromkeys(column for _, column in groups))
    return tuple(
        (
            row,
            tuple(
                Field(
                    measure.text(means[row, column]),
                    len(groups[row, column]),
                    is_best=len(means) > 1 and means[row, column] == best,
                )
                if (row, column) in means
                else None
                for column in columns
            ),
        )
        for row in dict.fromkeys(row for row, _ in groups)
    )


def _axes(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """Those with several values first, then those that everybody asks for."""
    known = dict.fromkeys(axis for run in runs for axis in (*run.cell, SHOTS))
    values = {axis: {_at(run, axis) for run in runs} for axis in known}
    varying = [axis for axis in known if len(values[axis]) > 1]
    usual = [axis for axis in ("method", "backend") if axis in known]
    return tuple(dict.fromkeys([*varying, *usual]))


def _at(run: RunSummary, axis: str) -> str:
    if not axis:
        return ""
    if axis == SHOTS:
        return "" if run.num_fewshot is None else f"{run.num_fewshot}-shot"
    value = run.cell.get(axis)
    return "" if value is None else str(value)
