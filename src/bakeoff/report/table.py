"""A table that HTML, Markdown and the terminal all show: text in cells, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len

Align = Literal["left", "right"]
Tone = Literal["", "good", "bad", "unsure", "mark"]


@dataclass(frozen=True)
class Column:
    header: str
    align: Align = "right"


@dataclass(frozen=True)
class Cell:
    text: str
    tone: Tone = ""
    """How HTML colours it; the text says the same without colour."""


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """What a reader must know to read it."""

    key: str = ""
    """For HTML: an anchor and a class."""

    kept_wide: bool = field(default=False)
    """Prose in the cells: let them wrap."""


def cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def without_empty_columns(table: Table, missing: str) -> Table:
    """Leave out columns with nothing but missing values; the first column stays."""
    kept = [
        i
        for i in range(len(table.columns))
        if i == 0 or any(row[i].text not in (missing, "") for row in table.rows)
    ]
    return Table(
        columns=[table.columns[i] for i in kept],
        rows=[[row[i] for i in kept] for row in table.rows],
        note=table.note,
        key=table.key,
        kept_wide=table.kept_wide,
    )


def markdown_table(table: Table) -> str:
    """Aligned, so that it reads as plain text too; wide characters (Chinese) count double."""
    header = [_escape(column.header) for column in table.columns]
    body = [[_escape(cell.text) for cell in row] for row in table.rows]
    widths = [max(3, *(cell_len(line[i]) for line in [header, *body])) for i in range(len(header))]
    aligns = [column.align for column in table.columns]
    rule = [
        "-" * (width - 1) + ":" if align == "right" else "-" * width
        for width, align in zip(widths, aligns, strict=True)
    ]
    lines = [header, rule, *body]
    return "\n".join(_line(line, widths, aligns) for line in lines)


def _line(texts: Sequence[str], widths: Sequence[int], aligns: Sequence[Align]) -> str:
    padded = []
    for text, width, align in zip(texts, widths, aligns, strict=True):
        space = " " * (width - cell_len(text))
        padded.append(space + text if align == "right" else text + space)
    return f"| {' | '.join(padded)} |"


def _escape(text: str) -> str:
    """A cell is one line, and what a model or a log says is no markup."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;").replace("`", "\\`").replace("*", "\\*").replace("_", "\\_")
