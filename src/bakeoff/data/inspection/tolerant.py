"""Rows of a file, going on after those that cannot be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.data.json_rows import counts_rows, parse_line
from bakeoff.data.mistakes import EncodingError, NotJsonError
from bakeoff.data.sources import RowsFile
from bakeoff.data.split_files import data_suffix, whole_rows
from bakeoff.data.text import decoded, numbered_byte_lines

_LINE_SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read."""

    error: UserError
    is_last: bool = False
    """Nothing tells where the next row begins."""


def read_tolerantly(file: RowsFile, *, every_column: bool = False) -> Iterator[tuple[int, object]]:
    """Numbered rows; a :class:`BadRow` stands for each that cannot be read.

    A table's rows have the columns that a training needs, unless ``every_column`` is wanted.

    With one object a line the reading goes on behind a bad line. In anything else (an array, a
    table) nothing tells where the next row begins: it ends with the first bad row.
    """
    path = Path(file.label)
    number = 0
    try:
        if _has_a_row_a_line(path):
            yield from _lines(path)
            return
        for number, value in whole_rows(file) if every_column else file.read():
            yield number, value
    except UserError as error:
        yield number + 1, BadRow(error, is_last=True)


def has_byte_order_mark(file: RowsFile) -> bool:
    """Whether the file starts with the mark of UTF-8."""
    path = Path(file.label)
    if not path.is_file() or path.suffix.lower() == ".gz":
        return False
    with path.open("rb") as stream:
        return stream.read(3) == b"\xef\xbb\xbf"


def _has_a_row_a_line(path: Path) -> bool:
    return path.is_file() and data_suffix(path.name) in _LINE_SUFFIXES and not counts_rows(path)


def _lines(path: Path) -> Iterator[tuple[int, object]]:
    for number, line in numbered_byte_lines(path):
        try:
            text = decoded(line, number, path).rstrip()
        except EncodingError as error:
            yield number, BadRow(error)
            continue
        if not text:
            continue
        try:
            value = parse_line(text, where=f"{path}, line {number}")
        except NotJsonError as error:
            value = BadRow(error)
        yield number, value
