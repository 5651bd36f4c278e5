"""``bakeoff report``: one study becomes Markdown, HTML and pictures."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff import __version__
from bakeoff.base.files import write_text_atomic
from bakeoff.compare.losses import LossRow, loss_rows
from bakeoff.report import charts
from bakeoff.report.figures import Figure, draw
from bakeoff.report.table import markdown_table
from bakeoff.report.view import View, make_view
from bakeoff.schema.comparison import Row
from bakeoff.schema.plan import Plan
from bakeoff.schema.record import Record

if TYPE_CHECKING:
    import altair as alt
    from jinja2 import Environment
    from markupsafe import Markup


@dataclass(frozen=True)
class ReportPaths:
    markdown: Path
    html: Path
    figures: tuple[Path, ...]


def write_report(  # noqa: PLR0913 - the last three are facts of the study, none of them needed
    study: str,
    records: Sequence[Record],
    runs_dir: Path,
    output_dir: Path,
    *,
    recipe_text: str | None = None,
    overrides: Sequence[str] = (),
    plan: Plan | None = None,
) -> ReportPaths:
    """Write ``report.md``, ``report.html`` (one file, no network) and ``figures/*.png``.

    Args:
        study: its name.
        records: of the study, failed runs among them.
        runs_dir: where the runs' folders lie; their answers are read.
        output_dir: made if it is not there; an earlier report in it is replaced.
        recipe_text: the recipe as written, to show how to get it all again.
        overrides: what `--set` changed in it.
        plan: names what was planned and not run.

    Raises:
        UserError: the answers of a finished evaluation are not on disk.
    """
    view = make_view(
        study, records, runs_dir, recipe_text=recipe_text, overrides=overrides, plan=plan
    )
    figures = list(_draw_all(view, loss_rows(records), output_dir / "figures"))
    values = {"view": view, "figures": {f.key: f for f in figures}, "version": __version__}
    environment = _environment()
    paths = ReportPaths(
        output_dir / "report.md",
        output_dir / "report.html",
        tuple(figure.png_path for figure in figures),
    )
    markdown = environment.get_template("report.md.j2").render(values)
    write_text_atomic(paths.markdown, re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n")
    write_text_atomic(paths.html, environment.get_template("report.html.j2").render(values))
    return paths


@dataclass(frozen=True)
class _Drawing:
    key: str
    title: str
    caption: str
    chart: Callable[[Sequence[Row]], "alt.LayerChart | None"]


_DRAWINGS = (
    _Drawing(
        "accuracy",
        "Right answers",
        "Share of the test questions answered right, with its 95 % interval (Wilson).",
        charts.accuracy_chart,
    ),
    _Drawing(
        "difference",
        "Difference to the base model",
        "On the same questions, with its 95 % interval (bootstrap). Green or red where the "
        "corrected test decides, grey where chance alone may do it.",
        charts.difference_chart,
    ),
    _Drawing(
        "formats",
        "Form or substance",
        "Answers in the expected form, and any answers whose last number is right. The gap between "
        "the two is a matter of form.",
        charts.format_chart,
    ),
    _Drawing("time", "Training time", "Optimiser steps only.", charts.time_chart),
    _Drawing(
        "memory",
        "Peak memory of training",
        "Host memory is that of the whole process tree; the results table says where it was read.",
        charts.memory_chart,
    ),
)


def _draw_all(view: View, losses: Sequence[LossRow], folder: Path) -> Iterator[Figure]:
    for drawing in _DRAWINGS:
        chart = drawing.chart(view.rows)
        if chart is not None:
            key, title, caption = drawing.key, drawing.title, drawing.caption
            yield draw(chart, folder, key=key, title=title, caption=caption)
    chart = charts.loss_chart(losses)
    if chart is not None:
        caption = "Thin: each step of training; thick: its running mean; dots: validation."
        yield draw(chart, folder, key="loss", title="Loss", caption=caption)


@cache
def _environment() -> "Environment":
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
