"""What the report says of a study, kept until a record changes; and its pictures."""

from typing import TYPE_CHECKING, Any

from bakeoff.base.errors import UserError
from bakeoff.compare.curves import curve_of, curve_rows
from bakeoff.compare.phrases import Voice
from bakeoff.dashboard.memo import Memo
from bakeoff.dashboard.naming import name_of
from bakeoff.dashboard.site import Site
from bakeoff.dashboard.words import Words
from bakeoff.report.curves import curve_spec, pareto_chart
from bakeoff.report.document import DRAWINGS
from bakeoff.report.timeline import timelines
from bakeoff.report.timeline_chart import timeline_chart
from bakeoff.report.view import View, make_view
from bakeoff.store.lists import Asked

if TYPE_CHECKING:
    from bakeoff.dashboard.figures import Drawn

_MOST_ANSWERS = 300_000
"""Scored answers whose statistics are worked out at once."""

_MOST_CURVES = 24

FIGURES: dict[str, tuple[str, str]] = {
    **{drawing.key: (drawing.title, drawing.caption) for drawing in DRAWINGS},
    "pareto-time": (
        "Accuracy for time",
        "Filled blue: no other model is at least as good in accuracy, time and memory alike.",
    ),
    "pareto-memory": (
        "Accuracy for memory",
        "Lines are 95 % intervals of the accuracy.",
    ),
    "loss": ("Loss", "Thin: each step of training; thick: its running mean; dots: validation."),
    "timeline": (
        "Memory over time",
        "Sampled from outside the trainer, over its whole process tree; colours are what the "
        "trainer was doing. Time and memory have the same scale in all panels.",
    ),
}
"""Key: title, caption. Those of the report come first, word for word."""

_results: Memo[View] = Memo(size=12)


def study_results(site: Site, name: str, words: Words | None = None) -> View:
    """Raises UserError: answers are missing on disk, or there are too many."""
    told = words or Words("en")
    key = (site.runs_dir, name, told.language, *site.store.lists.study_stamp(name))
    return _results.get(key, lambda: _make(site, name, told))


def _make(site: Site, name: str, words: Words) -> View:
    study = site.store.study(name)
    records = site.store.study_records(name)
    answers = sum(record.scores[0].num_samples for record in records if record.scores)
    if answers > _MOST_ANSWERS:
        raise UserError(
            f"this study has {answers:,} scored answers: too many to work out every statistic "
            "while a page waits",
            hint="choose some of its runs and compare them, or write the whole report: "
            f"`bakeoff report {name}`",
        )
    return make_view(
        name,
        records,
        site.runs_dir,
        recipe_text=study.recipe_text,
        overrides=study.overrides,
        plan=study.plan,
        command_line=study.command_line,
        voice=Voice(words.language, words.name),
    )


def study_figure(site: Site, name: str, key: str) -> "Drawn | None":
    """None where there is nothing to draw, or no such figure."""
    if key == "loss":
        return _loss(site, name)
    if key == "timeline":
        return timeline_chart(timelines(site.store.study_records(name), site.runs_dir))
    if key not in FIGURES:
        return None
    rows = study_results(site, name).rows
    if key.startswith("pareto-"):
        return pareto_chart(rows, {"time": "minutes", "memory": "gibibytes"}[key[7:]])
    drawing = next(drawing for drawing in DRAWINGS if drawing.key == key)
    return drawing.chart(rows)


def _loss(site: Site, name: str) -> dict[str, Any] | None:
    lists = site.store.lists
    facts = lists.study_facts(name)
    axes = facts.axes if facts is not None else ()
    found = lists.runs_of(name, Asked(size=_MOST_CURVES, kind="train")).rows
    names = {run.run_id: name_of(run, axes) for run in found if run.turn == 1}
    records = {record.run_id: record for record in site.store.records_of(list(names))}
    curves = [
        curve_of(site.runs_dir / run_id, said, records.get(run_id))
        for run_id, said in names.items()
    ]
    rows = curve_rows(curves, field="loss", axis="step")
    return curve_spec(rows, field="loss", axis="step")
