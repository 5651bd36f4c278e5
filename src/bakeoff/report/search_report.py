"""The report of a search."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.compare import numbers
from bakeoff.compare.search_words import TITLES, show_score, show_value, show_values
from bakeoff.report.document import ReportPaths
from bakeoff.report.figures import Figure
from bakeoff.report.page import Page, Section, Verdict, write_page
from bakeoff.report.search_charts import (
    front_chart,
    history_chart,
    importance_chart,
    slice_chart,
)
from bakeoff.report.table import Cell, Column, Table, cells
from bakeoff.schema.recipe_search import Dimension, Objective
from bakeoff.schema.search import SearchResult, Trial

_CHART_TITLES: dict[Objective, str] = {
    "validation_loss": "validation loss per label token",
    "exact_match": "right answers (validation)",
    "peak_memory": "peak memory, GiB",
    "train_time": "training time, s",
}
_FORMS = {"tpe": "TPE", "cmaes": "CMA-ES", "random": "random", "grid": "grid"}


def write_search_report(
    result: SearchResult,
    folder: Path,
    command_line: Sequence[str],
    *,
    recipe_text: str | None = None,
) -> ReportPaths:
    """Write ``report.md``, ``report.html`` and pictures into ``folder``."""
    return write_page(search_page(result, command_line, recipe_text=recipe_text), folder)


def search_page(
    result: SearchResult, command_line: Sequence[str], *, recipe_text: str | None = None
) -> Page:
    """All that the report says, its pictures drawn."""
    return Page(
        kind="Hyper-parameter search",
        title=result.study,
        facts=_facts(result),
        verdicts=[_verdict(result), *_saved(result)],
        warnings=result.notes,
        sections=[section for section in _sections(result) if section is not None],
        command=shlex.join(command_line),
        recipe_text=recipe_text,
    )


def _facts(result: SearchResult) -> list[tuple[str, str]]:
    spent = result.spent
    facts = [
        ("Method", _FORMS[result.method]),
        ("Objective", ", ".join(TITLES[name] for name in result.objective)),
        ("Ended early by", result.pruning),
        ("Trials", str(spent["runs"])),
        ("Time of runs", numbers.seconds(3600 * (spent["hours"] or 0.0))),
        ("Tokens", numbers.count(spent["tokens"])),
    ]
    if spent["cost"] is not None:
        facts.append(("Cost", f"{spent['cost']:.2f} {result.currency or ''}"))
    return facts


def _verdict(result: SearchResult) -> Verdict:
    return Verdict(result.sentence, "good" if result.winner is not None else "unsure")


def _saved(result: SearchResult) -> Iterator[Verdict]:
    saving = result.saving
    if saving.num_pruned and saving.steps_of_all:
        share = numbers.percent(saving.steps_left_out / saving.steps_of_all)
        yield Verdict(
            f"{saving.num_pruned} of {len(result.trials)} trials were ended early, which left out "
            f"{saving.steps_left_out} of {saving.steps_of_all} steps ({share}), about "
            f"{numbers.seconds(saving.seconds_left_out)}.",
            "good",
        )


def _sections(result: SearchResult) -> Iterator[Section | None]:
    yield _front(result) if len(result.objective) > 1 else _candidates(result)
    title = _CHART_TITLES[result.objective[0]]
    yield Section(heading="What was tried", figures=list(_pictures(result, title)))
    yield _importance(result)
    yield _agreement(result)
    yield Section(heading="All trials", tables=[_trials(result)])
    yield Section(heading="The space", tables=[_space(result)])


def _pictures(result: SearchResult, title: str) -> Iterator[Figure]:
    chart = history_chart(result, title)
    if chart is not None:
        yield Figure(
            chart=chart,
            key="history",
            title="Trial by trial",
            caption="The line is the best so far. What was ended early or diverged lies on the "
            "upper edge, and so does what is beyond it.",
        )
    for index, key in enumerate(result.space):
        chart = slice_chart(result, key, title)
        if chart is not None:
            is_rate = key.endswith("learning_rate")
            meant = ", of the training that is meant, dots of the proxy" if result.proxy else ""
            yield Figure(
                chart=chart,
                key=f"slice-{index}",
                title="Learning-rate curve" if is_rate else f"Slice: {key}",
                caption="One point a trial; the other settings differ as well. Diamonds are means "
                f"over further seeds, with their range{meant}.",
            )


def _candidates(result: SearchResult) -> Section | None:
    if not result.candidates:
        return None
    objective = result.objective[0]
    rows = []
    for each in result.candidates:
        interval = each.interval
        is_recommended = each.trial == result.recommended_trial
        rows.append(
            [
                Cell(str(each.trial)),
                Cell(show_values(each.values), "mark" if is_recommended else ""),
                Cell(show_score(objective, each.mean)),
                Cell(numbers.MISSING if each.spread is None else f"{each.spread:.2g}"),
                Cell(numbers.MISSING if each.difference is None else f"{each.difference:.2g}"),
                Cell(
                    numbers.MISSING
                    if interval is None
                    else f"{interval.low:.2g} to {interval.high:.2g}"
                ),
                Cell(numbers.p_value(each.p_adjusted)),
                Cell(numbers.seconds(each.train_seconds)),
                Cell(numbers.num_bytes(each.peak_bytes)),
                Cell(each.standing + (", recommended" if is_recommended else "")),
            ]
        )
    seeds = ", ".join(map(str, result.confirm_seeds))
    table = Table(
        [
            Column("Trial"),
            Column("Settings", "left"),
            Column(TITLES[objective].capitalize()),
            Column("± seeds"),
            Column("To the best"),
            Column("95 % interval"),
            Column("p (Holm)"),
            Column("Training"),
            Column("Peak memory"),
            Column("Standing", "left"),
        ],
        rows,
        note=f"Means over seeds {seeds}, none of which the search had used. Differences are paired "
        "by seed (t-test, Holm); with so few seeds only large ones can be shown, and not to be "
        "told apart is not to be equal.",
    )
    return Section(heading="The best, trained again", tables=[table])


def _front(result: SearchResult) -> Section:
    shown = {trial.number: trial for trial in result.trials}
    rows = [
        cells(
            str(number),
            show_values(shown[number].values),
            *(show_score(name, shown[number].objectives[name]) for name in result.objective),
        )
        for number in result.front
    ]
    columns = [
        Column("Trial"),
        Column("Settings", "left"),
        *(Column(TITLES[name].capitalize()) for name in result.objective),
    ]
    titles = [_CHART_TITLES[name] for name in result.objective]
    chart = front_chart(result, titles)
    figures = []
    if chart is not None:
        caption = "No other trial is better in both of what is green. One seed each."
        figures = [Figure(chart=chart, key="front", title="Pareto front", caption=caption)]
    return Section(heading="The front", tables=[Table(columns, rows)], figures=figures)


def _importance(result: SearchResult) -> Section | None:
    chart = importance_chart(result)
    if chart is None:
        return None
    caption = (
        "PED-ANOVA (Watanabe et al. 2023): what tells the better half of the trials apart; those "
        "that were ended early count as the worse. With so few trials the order is a hint."
    )
    figure = Figure(chart=chart, key="importance", title="Importance", caption=caption)
    return Section(heading="What mattered", figures=[figure])


def _agreement(result: SearchResult) -> Section | None:
    found = result.agreement
    if found is None:
        return None
    proxy = show_values(result.proxy)
    if found.kendall is None:
        text = f"Too few settings ({found.num_settings}) were trained as meant to tell."
    else:
        text = (
            f"{found.num_settings} settings were trained as meant: the proxy ({proxy}) puts them "
            f"into that order with Kendall's tau {found.kendall:.2f} "
            f"({numbers.p_phrase(found.p_value)})."
        )
    return Section(heading="Does the proxy tell?", sentences=[text])


def _trials(result: SearchResult) -> Table:
    columns = [
        Column("Trial"),
        Column("Settings", "left"),
        *(Column(TITLES[name].capitalize()) for name in result.objective),
        Column("Steps"),
        Column("Time"),
        Column("Status", "left"),
    ]
    rows = [
        cells(
            str(trial.number),
            show_values(trial.values),
            *(show_score(name, trial.objectives.get(name)) for name in result.objective),
            _steps(trial),
            "found finished" if trial.reused else numbers.seconds(trial.seconds),
            "ended early" if trial.status == "pruned" else trial.status,
        )
        for trial in result.trials
    ]
    return Table(columns, rows)


def _steps(trial: Trial) -> str:
    if trial.num_steps is None or trial.steps_done is None:
        return numbers.MISSING
    return f"{trial.steps_done} of {trial.num_steps}"


def _space(result: SearchResult) -> Table:
    rows = [
        cells(key, _range(dimension), dimension.source or "the recipe")
        for key, dimension in result.space.items()
    ]
    columns = [Column("Setting", "left"), Column("Searched", "left"), Column("Source", "left")]
    return Table(columns, rows, kept_wide=True)


def _range(dimension: Dimension) -> str:
    if dimension.choices is not None:
        text = ", ".join(show_value(value) for value in dimension.choices)
    else:
        text = f"{dimension.low:g} to {dimension.high:g}{', log' if dimension.log else ''}"
    if dimension.when:
        conditions = " and ".join(
            f"{key} is {' or '.join(map(str, allowed))}" for key, allowed in dimension.when.items()
        )
        text += f", when {conditions}"
    return text
