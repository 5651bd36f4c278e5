"""A report of its own kind: sections of sentences, tables and figures, as Markdown and HTML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakeoff import __version__
from bakeoff.report.document import ReportPaths, replace_files, templates
from bakeoff.report.figures import Figure
from bakeoff.report.table import Table


@dataclass(frozen=True)
class Verdict:
    text: str
    tone: Literal["good", "bad", "unsure"]


@dataclass(frozen=True, kw_only=True)
class Section:
    heading: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    kind: str
    """`Hyper-parameter search`, ..."""

    title: str
    facts: Sequence[tuple[str, str]]
    verdicts: Sequence[Verdict]
    warnings: Sequence[str] = ()
    sections: Sequence[Section]
    command: str | None = None
    recipe_text: str | None = None


def write_page(page: Page, folder: Path) -> ReportPaths:
    """Write ``report.md``, ``report.html`` (one file, no network) and ``figures/*.png``.

    Pictures of an earlier report that this one does not draw go away.
    """
    values = {"page": page, "version": __version__}
    markdown = templates().get_template("page.md.j2").render(values)
    html = templates().get_template("page.html.j2").render(values)
    figures = [figure for section in page.sections for figure in section.figures]
    contents = {f"figures/{figure.key}.png": figure.png for figure in figures}
    contents["report.md"] = (re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n").encode()
    contents["report.html"] = html.encode()
    replace_files(folder, contents)
    drawn = {f"{figure.key}.png" for figure in figures}
    for path in (folder / "figures").glob("*.png"):
        if path.name not in drawn:
            path.unlink()
    return ReportPaths(
        folder / "report.md",
        folder / "report.html",
        tuple(folder / "figures" / name for name in sorted(drawn)),
    )
