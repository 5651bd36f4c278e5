"""Tables of what came out: scores, costs, statistics."""

from collections.abc import Callable, Sequence
from typing import Any

from bakeoff.compare import numbers
from bakeoff.compare.constants import ALPHA
from bakeoff.compare.tables import num_tests
from bakeoff.report.table import Cell, Column, Table, Tone, without_empty_columns
from bakeoff.schema.comparison import FormatShare, Interval, Pair, Row, SeedGroup

_MOST_SENTENCES = 4


def tone_of(difference: float, p: float | None) -> Tone:
    """Good or bad only where the test decides."""
    if p is None or p >= ALPHA:
        return "unsure"
    return "good" if difference > 0 else "bad"


def interval_text(interval: Interval | None) -> str:
    if interval is None:
        return numbers.MISSING
    low, high = (numbers.points(limit, signed=False) for limit in (interval.low, interval.high))
    return f"{low} to {high}"


def accuracy_text(row: Row) -> str:
    """`41.7 ± 4.5 %`: the share right and its standard error."""
    if row.stderr is None:
        return numbers.percent(row.accuracy)
    return f"{100 * row.accuracy:.1f} ± {100 * row.stderr:.1f} %"


def several(values: Sequence[object]) -> bool:
    return len(set(values)) > 1


def results_table(rows: Sequence[Row]) -> Table:
    """The table: a line for each model and number of examples, by the headline filter."""
    shown = [row for row in rows if row.is_headline]
    counters = {row.peak_counter for row in shown if row.peak_counter}
    memory = f"Peak memory ({counters.pop()})" if len(counters) == 1 else "Peak memory"
    columns = [
        Column("Model", "left"),
        *_question_columns(shown),
        Column("Accuracy ± SE"),
        Column("To base, points"),
        Column("95 % interval"),
        Column("p (Holm)"),
        Column("Training"),
        Column("Tokens/s"),
        Column(memory),
        Column("Predicted"),
        Column("Trained parameters"),
    ]
    lines = [_result_line(row, shown) for row in shown]
    return without_empty_columns(
        Table(columns, lines, note=_results_note(rows), key="results"), numbers.MISSING
    )


def _question_columns(rows: Sequence[Row]) -> list[Column]:
    columns = []
    if several([row.task for row in rows]):
        columns.append(Column("Task", "left"))
    if several([row.num_fewshot for row in rows]):
        columns.append(Column("Shots"))
    return columns


def _question_cells(row: Row, rows: Sequence[Row]) -> list[Cell]:
    found = []
    if several([each.task for each in rows]):
        found.append(Cell(row.task))
    if several([each.num_fewshot for each in rows]):
        found.append(Cell(str(row.num_fewshot)))
    return found


def _result_line(row: Row, rows: Sequence[Row]) -> list[Cell]:
    difference = row.difference
    mixed = several([each.peak_counter for each in rows if each.peak_counter])
    memory = numbers.num_bytes(row.peak_bytes) + _range(row.peak_bytes_range, numbers.num_bytes)
    return [
        Cell(row.name),
        *_question_cells(row, rows),
        Cell(accuracy_text(row)),
        Cell(numbers.points(difference.difference), tone_of(difference.difference, row.p_adjusted))
        if difference
        else Cell(numbers.MISSING),
        Cell(interval_text(difference.interval if difference else None)),
        Cell(numbers.p_value(row.p_adjusted)),
        Cell(numbers.seconds(row.train_seconds) + _range(row.train_seconds_range, numbers.seconds)),
        Cell(numbers.rate(row.tokens_per_second)),
        Cell(f"{memory} ({row.peak_counter})" if mixed and row.peak_counter else memory),
        Cell(numbers.num_bytes(row.predicted_bytes)),
        Cell(numbers.parameters(row.num_trained_parameters)),
    ]


def _results_note(rows: Sequence[Row]) -> str:
    shown = [row for row in rows if row.is_headline]
    filters = sorted({f"{row.metric} by {row.filter}" for row in shown})
    items = sorted({numbers.count(row.num_items) for row in shown})
    text = f"Accuracy: {', '.join(filters)}, over {' or '.join(items)} questions; ± is its "
    text += "standard error. "
    tests = num_tests(rows, is_headline=True)
    if tests:
        text += (
            "Differences are paired, question by question: bootstrap interval (BCa) and exact "
            f"McNemar test, p-values Holm-adjusted over {tests} test{'s' * (tests > 1)}. "
        )
    text += "Training time counts optimiser steps only."
    if turns := max((row.num_turns for row in rows), default=1) - 1:
        text += (
            f" Time and memory are medians of {turns + 1} trainings each, done in turns, with the "
            "lowest and the highest."
        )
    return text


def _range(found: tuple[Any, Any] | None, text: Callable[[Any], str]) -> str:
    """` (11.9 s to 13.0 s)`, of a figure that was measured several times."""
    if found is None or text(found[0]) == text(found[1]):
        return ""
    return f" ({text(found[0])} to {text(found[1])})"


def filters_table(rows: Sequence[Row]) -> Table | None:
    """Every filter of every model; None where there is one filter only."""
    if not several([(row.metric, row.filter) for row in rows]):
        return None
    columns = [
        Column("Model", "left"),
        *_question_columns(rows),
        Column("Scored by", "left"),
        Column("Accuracy ± SE"),
        Column("To base, points"),
        Column("95 % interval"),
        Column("p (Holm)"),
        Column("Cut at token limit"),
    ]
    lines = [_filter_line(row, rows) for row in rows]
    note = (
        "strict-match wants the answer in the form of the training data; flexible-extract takes "
        "the last number of any text."
    )
    if others := num_tests(rows, is_headline=False):
        tests = "test" if others == 1 else "tests"
        note += f" By the other filters p is corrected over {others} {tests}, a family of its own."
    return without_empty_columns(Table(columns, lines, note=note, key="filters"), numbers.MISSING)


def _filter_line(row: Row, rows: Sequence[Row]) -> list[Cell]:
    difference = row.difference
    value = difference.difference if difference else None
    return [
        Cell(row.name),
        *_question_cells(row, rows),
        Cell(row.filter if row.filter != "none" else row.metric),
        Cell(accuracy_text(row)),
        Cell(numbers.points(value), tone_of(value, row.p_adjusted) if value is not None else ""),
        Cell(interval_text(difference.interval if difference else None)),
        Cell(numbers.p_value(row.p_adjusted)),
        Cell(numbers.percent(row.share_token_limit)),
    ]


def statistics_table(rows: Sequence[Row]) -> Table | None:
    """The counts behind each test; None without any difference."""
    tested = [row for row in rows if row.difference]
    if not tested:
        return None
    columns = [
        Column("Model", "left"),
        *_question_columns(tested),
        Column("Scored by", "left"),
        Column("Questions"),
        Column("Only it right (b)"),
        Column("Only base right (c)"),
        Column("SE, points"),
        Column("p"),
        Column("p (Holm)"),
        Column("Could have shown, points"),
        Column("Needed to decide"),
    ]
    note = (
        "b and c are McNemar's counts: questions on which only one of the two was right. "
        "Could have shown: the smallest true difference that this test finds with 80 % power at "
        "alpha 0.05, before correction: 2.80 √((b + c) / n²) (Miller 2024, arXiv:2411.00640). "
        "Needed to decide: questions for 80 % power if the difference seen is the true one."
    )
    return Table(columns, [_statistics_line(row, tested) for row in tested], note=note, key="stats")


def _statistics_line(row: Row, rows: Sequence[Row]) -> list[Cell]:
    found = row.difference
    assert found is not None  # noqa: S101 - only tested rows come here
    return [
        Cell(row.name),
        *_question_cells(row, rows),
        Cell(row.filter if row.filter != "none" else row.metric),
        Cell(numbers.count(found.num_items)),
        Cell(numbers.count(found.num_only_model_right)),
        Cell(numbers.count(found.num_only_baseline_right)),
        Cell(numbers.points(found.standard_error, signed=False)),
        Cell(numbers.p_value(found.p_value)),
        Cell(numbers.p_value(row.p_adjusted)),
        Cell(numbers.points(found.smallest_detectable, signed=False)),
        Cell(numbers.count(found.num_items_to_decide)),
    ]


def pairs_table(pairs: Sequence[Pair]) -> Table | None:
    """The trained models against each other; None without a pair."""
    if not pairs:
        return None
    shots = several([pair.num_fewshot for pair in pairs])
    columns = [
        Column("Model", "left"),
        Column("Against", "left"),
        *([Column("Shots")] if shots else []),
        Column("Difference, points"),
        Column("95 % interval"),
        Column("b : c"),
        Column("p (Holm)"),
        Column("Could have shown, points"),
    ]
    lines = []
    for pair in pairs:
        found = pair.difference
        b, c = found.num_only_model_right, found.num_only_baseline_right
        lines.append(
            [
                Cell(pair.name),
                Cell(pair.other_name),
                *([Cell(str(pair.num_fewshot))] if shots else []),
                Cell(numbers.points(found.difference), tone_of(found.difference, pair.p_adjusted)),
                Cell(interval_text(found.interval)),
                Cell(f"{numbers.count(b)} : {numbers.count(c)}"),
                Cell(numbers.p_value(pair.p_adjusted)),
                Cell(numbers.points(found.smallest_detectable, signed=False)),
            ]
        )
    note = f"A Holm family of its own, of {len(pairs)} test{'s' * (len(pairs) > 1)}. "
    note += "A difference that is not shown is no proof that two models are equal."
    return Table(columns, lines, note=note, key="pairs")


def seeds_table(groups: Sequence[SeedGroup]) -> Table | None:
    """Mean and spread over the seeds; None without repeated seeds."""
    if not groups:
        return None
    columns = [
        Column("Model", "left"),
        Column("Shots"),
        Column("Seeds"),
        Column("Mean accuracy"),
        Column("SD over seeds, points"),
        Column("Mean to base, points"),
        Column("95 % interval"),
    ]
    lines = [
        [
            Cell(group.name),
            Cell(str(group.num_fewshot)),
            Cell(str(len(group.seeds))),
            Cell(numbers.percent(group.mean_accuracy)),
            Cell(numbers.points(group.spread, signed=False)),
            Cell(numbers.points(group.mean_difference)),
            Cell(interval_text(group.interval)),
        ]
        for group in groups
    ]
    note = (
        "The interval draws seeds and questions both again (hierarchical bootstrap), so that it "
        "covers the noise of training; with few seeds it is still too narrow rather than too wide."
    )
    return Table(columns, lines, note=note, key="seeds")


def format_sentences(shares: Sequence[FormatShare]) -> list[str]:
    """One for each model, or what they have in common where there are many."""
    if len(shares) > _MOST_SENTENCES:
        gains = sorted(share.format_gain for share in shares)
        low, high = numbers.points(gains[0]), numbers.points(gains[-1])
        return [
            f"Over the {len(shares)} evaluations of trained models, between {low} and {high} "
            "points of the gain in the expected form are not matched by a gain in any last number, "
            "and so are form only. The table has each."
        ]
    shots = several([share.num_fewshot for share in shares])
    return [f"{share.num_fewshot}-shot: {share.text}" if shots else share.text for share in shares]
