"""Rows of a text file: every line that is not blank is one plain text."""

from collections.abc import Iterator
from pathlib import Path

from bakeoff.data.sources import ChooseColumns
from bakeoff.data.text import numbered_lines

COLUMN = "text"


def read_text(path: Path, choose: ChooseColumns) -> Iterator[tuple[int, object]]:
    """Lines with their numbers, under the name of a column: `text`."""
    choose([COLUMN], where=str(path))
    for number, line in numbered_lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, {COLUMN: text}
