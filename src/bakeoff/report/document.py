"""``bakeoff report``: one study becomes Markdown, HTML and pictures."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff import __version__
from bakeoff.compare.losses import LossRow, loss_rows
from bakeoff.compare.strategies import compare_strategies
from bakeoff.report import charts
from bakeoff.report.figures import Figure
from bakeoff.report.strategy_chart import strategy_chart
from bakeoff.report.table import markdown_table
from bakeoff.report.timeline import Timeline, timelines
from bakeoff.report.timeline_chart import timeline_chart
from bakeoff.report.view import View, make_view
from bakeoff.schema.comparison import Row
from bakeoff.schema.plan import Plan
from bakeoff.schema.record import Record

if TYPE_CHECKING:
    import altair as alt
    from jinja2 import Environment
    from markupsafe import Markup


_LOSS, _TIMELINE, _STRATEGIES = "loss", "timeline", "strategies"
"""Keys of the figures that are drawn of curves, not of rows."""


@dataclass(frozen=True)
class ReportPaths:
    markdown: Path
    html: Path
    figures: tuple[Path, ...]


def write_report(  # noqa: PLR0913 - the last four are facts of the study, none of them needed
    study: str,
    records: Sequence[Record],
    runs_dir: Path,
    output_dir: Path,
    *,
    recipe_text: str | None = None,
    overrides: Sequence[str] = (),
    plan: Plan | None = None,
    command_line: Sequence[str] | None = None,
) -> ReportPaths:
    """Write ``report.md``, ``report.html`` (one file, no network) and ``figures/*.png``.

    Args:
        study: its name.
        records: of the study, failed runs among them.
        runs_dir: where the runs' folders lie; their answers are read.
        output_dir: made if it is not there; an earlier report in it is replaced, file by
            file: a reader never sees a part of one.
        recipe_text: the recipe as written, to show how to get it all again.
        overrides: what `--set` changed in it.
        plan: names what was planned and not run.
        command_line: of the study; that of its first training when absent.

    Raises:
        UserError: the answers of a finished evaluation are not on disk.
    """
    view = make_view(
        study,
        records,
        runs_dir,
        recipe_text=recipe_text,
        overrides=overrides,
        plan=plan,
        command_line=command_line,
    )
    figures = list(_draw_all(view, loss_rows(records), timelines(records, runs_dir)))
    figures += _strategies_figure(records)
    values = {"view": view, "figures": {f.key: f for f in figures}, "version": __version__}
    markdown = templates().get_template("report.md.j2").render(values)
    page = templates().get_template("report.html.j2").render(values)
    # The figures come first: the text shows them.
    contents = {f"figures/{figure.key}.png": figure.png for figure in figures}
    contents["report.md"] = (re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n").encode()
    contents["report.html"] = page.encode()
    replace_files(output_dir, contents)
    _remove_stale_figures(output_dir / "figures", {figure.key for figure in figures})
    return ReportPaths(
        output_dir / "report.md",
        output_dir / "report.html",
        tuple(output_dir / "figures" / f"{figure.key}.png" for figure in figures),
    )


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all of them beside their places, then move each into its own.

    Inside ``folder``, because its parent may be another disk, from which nothing can be moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
        for path, content in contents.items():
            (Path(name) / path).parent.mkdir(exist_ok=True)
            (Path(name) / path).write_bytes(content)
        for path in contents:
            (folder / path).parent.mkdir(exist_ok=True)
            (Path(name) / path).replace(folder / path)


def _remove_stale_figures(folder: Path, drawn: Set[str]) -> None:
    """Those that an earlier report wrote and this one did not; other files are not ours."""
    for key in {*(drawing.key for drawing in DRAWINGS), _LOSS, _TIMELINE, _STRATEGIES} - drawn:
        (folder / f"{key}.png").unlink(missing_ok=True)


@dataclass(frozen=True)
class Drawing:
    """A picture of the results table's rows."""

    key: str
    title: str
    caption: str
    chart: Callable[[Sequence[Row]], "alt.LayerChart | None"]


DRAWINGS = (
    Drawing(
        "accuracy",
        "Right answers",
        "Share of the test questions answered right, with its 95 % interval (Wilson).",
        charts.accuracy_chart,
    ),
    Drawing(
        "difference",
        "Difference to the base model",
        "On the same questions, with its 95 % interval (bootstrap). Green or red where the "
        "corrected test decides, grey where chance alone may do it.",
        charts.difference_chart,
    ),
    Drawing(
        "formats",
        "Form or substance",
        "Answers in the expected form, and any answers whose last number is right. The gap between "
        "the two is a matter of form.",
        charts.format_chart,
    ),
    Drawing("time", "Training time", "Optimiser steps only.", charts.time_chart),
    Drawing(
        "memory",
        "Peak memory of training",
        "Host memory is that of the whole process tree; the results table says where it was read.",
        charts.memory_chart,
    ),
)


def _draw_all(view: View, losses: Sequence[LossRow], found: Sequence[Timeline]) -> Iterator[Figure]:
    for drawing in DRAWINGS:
        chart = drawing.chart(view.rows)
        if chart is not None:
            key, title, caption = drawing.key, drawing.title, drawing.caption
            yield Figure(chart=chart, key=key, title=title, caption=caption)
    chart = charts.loss_chart(losses)
    if chart is not None:
        caption = "Thin: each step of training; thick: its running mean; dots: validation."
        yield Figure(chart=chart, key=_LOSS, title="Loss", caption=caption)
    over_time = timeline_chart(found)
    if over_time is not None:
        caption = (
            "Sampled from outside the trainer, over its whole process tree; colours are what the "
            "trainer was doing. Time and memory have the same scale in all panels."
        )
        yield Figure(chart=over_time, key=_TIMELINE, title="Memory over time", caption=caption)


def _strategies_figure(records: Sequence[Record]) -> Iterator[Figure]:
    chart = strategy_chart(compare_strategies(records))
    if chart is not None:
        caption = (
            "Memory of the process that needs most against the time of a step. Green: no other "
            "strategy needs less of both (the Pareto front)."
        )
        yield Figure(chart=chart, key=_STRATEGIES, title="Memory against time", caption=caption)


@cache
def templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415 - only a report needs it

    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=select_autoescape(("html.j2",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        markdown_table=markdown_table,
        fence=_fence,
        prose=_prose,
        typeset=typeset,
        with_code=with_code,
        capitalised=lambda text: text[:1].upper() + text[1:],
    )
    return environment


def typeset(text: str) -> str:
    """For a page: true minus signs, which a console may not have, and units kept with numbers."""
    text = re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text)
    return re.sub(r"(?<=\d) (?=(%|s|min|h|[MGk]i?B?|B)(?!\w))", "\N{NO-BREAK SPACE}", text)


def with_code(text: str) -> "Markup":
    """Escaped, with `code` as a page shows it."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - comes with Jinja, on first use

    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (part if i % 2 == 0 else f"<code>{part}</code>" for i, part in enumerate(parts))
    return Markup("".join(marked))  # noqa: S704 - every part was escaped above


def _fence(text: str, language: str = "text") -> str:
    """A Markdown code block that nothing inside can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _prose(text: str) -> str:
    """A line of Markdown text in which nothing is markup but `code`."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        parts = ["'".join(parts)]
    return "`".join(part if i % 2 else _without_markup(part) for i, part in enumerate(parts))


def _without_markup(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("<", "&lt;")
    return re.sub(r"([*_\[\]#|])", r"\\\1", text)
