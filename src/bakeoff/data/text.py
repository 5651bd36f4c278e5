"""Lines of a text file, whatever wrote it: gzip, byte-order marks, and other encodings by name."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from bakeoff.base.errors import UserError

_LFS_POINTER = b"version https://git-lfs"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF8_HINT = "save it as UTF-8 (in Notepad: Save as, Encoding: UTF-8; in Excel: CSV UTF-8)"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept, the byte-order mark of UTF-8 taken off.

    Raises:
        UserError: Not UTF-8 (naming line and likely encoding), not whole, or not data at all.
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = _checked_start(line, path)  # noqa: PLW2901 - the mark is not content
                yield number, _decoded(line, number, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be unpacked: {error}",
            hint="the file is damaged or not gzip: get it again, or unpack it by hand",
        ) from error


def _checked_start(line: bytes, path: Path) -> bytes:
    if line.startswith(_WIDE_MARKS):
        raise UserError(f"{path} is UTF-16; UTF-8 was expected", hint=_UTF8_HINT)
    if line.startswith(_LFS_POINTER):
        raise UserError(
            f"{path} is a Git LFS pointer, not the data itself",
            hint="fetch the data with `git lfs pull` in that repository",
        )
    return line.removeprefix(codecs.BOM_UTF8)


def _decoded(line: bytes, number: int, path: Path) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode("utf-8")) + 1
        raise UserError(
            f"{path}, line {number}, column {column}: not UTF-8 (byte 0x{line[error.start]:02X})"
            f"{_likely_encoding(line)}",
            hint=_UTF8_HINT,
        ) from error


def _likely_encoding(line: bytes) -> str:
    """GBK is what Chinese Windows writes; it is named only where the line reads as Chinese."""
    try:
        text = line.decode("gbk")
    except UnicodeDecodeError:
        return ""
    chinese = "".join(char for char in text if "\u4e00" <= char <= "\u9fff")
    return f"; as GBK it reads well: `{chinese[:12]}`" if chinese else ""
