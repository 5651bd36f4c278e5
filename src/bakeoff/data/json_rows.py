"""Rows of a JSON file: one object a line, or one array of objects; the content tells which."""

import contextlib
import json
import re
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import msgspec

from bakeoff.base.errors import UserError
from bakeoff.data.json_causes import json_error
from bakeoff.data.mistakes import NotJsonError
from bakeoff.data.sources import ChooseColumns
from bakeoff.data.text import numbered_byte_lines, numbered_lines


class _NotANumberError(ValueError):
    """The file holds NaN or Infinity, which JSON does not know."""


def _refuse_constant(name: str) -> float:
    raise _NotANumberError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_FAST = msgspec.json.Decoder()
"""Gives the same values four times as fast, but cannot say well what is wrong with a line."""


def read_json(path: Path, _choose: ChooseColumns) -> Iterator[tuple[int, object]]:
    """Rows with their line (one object a line) or their place in the array, both from 1.

    Lines are streamed. Of an array the text is held in memory, the rows are read one by one.
    """
    lines = numbered_lines(path)
    head = []
    for number, line in lines:
        head.append((number, line))
        if line.strip():
            break
    if head and head[-1][1].lstrip().startswith("["):
        text = "".join(line for _, line in chain(head, lines))
        return _array_rows(text, path)
    return _line_rows(chain(head, lines), path)


def counts_rows(path: Path) -> bool:
    """Whether the file is an array, whose rows have no lines of their own to be named by.

    A file that cannot be read does not fail here: whoever reads its rows tells the place.
    """
    with contextlib.suppress(UserError):
        for _, line in numbered_byte_lines(path):
            if line.strip():
                return line.lstrip().startswith(b"[")
    return False


def _line_rows(lines: Iterator[tuple[int, str]], path: Path) -> Iterator[tuple[int, object]]:
    for number, line in lines:
        text = line.rstrip()
        if text:
            yield number, parse_line(text, where=f"{path}, line {number}")


def parse_line(text: str, *, where: str) -> object:
    """The value of one line that is not blank.

    Args:
        text: The line without white space at its end.
        where: File and line, for the message.

    Raises:
        UserError: The line is not one JSON value; says at which column, and why.
    """
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
        return _FAST.decode(text)
    value, end = _decoded(text, _next(text, 0), where)
    if end < len(text):
        raise json_error(text, _next(text, end), "Extra data", where=where)
    return value


def _array_rows(text: str, path: Path) -> Iterator[tuple[int, object]]:
    position = _next(text, text.index("[") + 1)
    if text.startswith("]", position):
        return
    for number in count(1):
        value, end = _decoded(text, position, f"{path}, row {number}")
        yield number, value
        position = _next(text, end)
        if text.startswith("]", position):
            rest = _next(text, position + 1)
            if rest < len(text):
                raise json_error(text, rest, "Extra data", where=f"{path}, after row {number}")
            return
        if not text.startswith(",", position):
            message = "Expecting ',' delimiter"
            raise json_error(text, position, message, where=f"{path}, after row {number}")
        position = _next(text, position + 1)


def _decoded(text: str, position: int, where: str) -> tuple[object, int]:
    """The value that starts at ``position``, and where it ends."""
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise json_error(text, error.pos, error.msg, where=where) from error
    except _NotANumberError as error:
        position = _find_constant(text, str(error), position)
        raise json_error(text, position, str(error), where=where) from error
    except (RecursionError, ValueError) as error:
        what = "lists within lists" if isinstance(error, RecursionError) else "a number of digits"
        raise NotJsonError(
            f"{where}: {what} without end, more than can be read",
            hint="correct the row or take it out",
        ) from error


def _find_constant(text: str, name: str, start: int) -> int:
    """Where the bare word ``name`` stands; the parser tells only that it met one."""
    found = re.compile(rf"[:\[,]\s*({name})").search(text, start)
    return found.start(1) if found else start


def _next(text: str, position: int) -> int:
    """The next character that is not white space."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
