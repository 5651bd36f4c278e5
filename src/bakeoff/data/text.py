"""Lines of a text file, whatever wrote it: packed, with a byte-order mark, in another encoding."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bakeoff.base.errors import UserError
from bakeoff.data.mistakes import EncodingError

_LFS_POINTER = b"version https://git-lfs"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF8_HINT = "save it as UTF-8 (in Notepad: Save as, Encoding: UTF-8; in Excel: CSV UTF-8)"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept, the byte-order mark of UTF-8 taken off.

    Raises:
        UserError: Not UTF-8 (naming line and likely encoding), not whole, or not data at all.
    """
    for number, line in numbered_byte_lines(path):
        yield number, decoded(line, number, path)


def numbered_byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines as they lie on disk, for a reader that goes on after one that is not UTF-8.

    Raises:
        UserError: UTF-16, not whole, or not data at all.
    """
    packing = path.suffix.lower()
    try:
        with PACKINGS.get(packing, _open_plain)(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, _checked_start(line, path) if number == 1 else line
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        # The unpackers raise a bare OSError; one of the system's has a number.
        if packing not in PACKINGS or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise UserError(
            f"{path} cannot be unpacked: {error}",
            hint=f"the file is damaged or not {packing}: get it again, or unpack it by hand",
        ) from error


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_gzip(path: Path) -> gzip.GzipFile:
    return gzip.open(path, "rb")


def _open_bz2(path: Path) -> IO[bytes]:
    return bz2.open(path, "rb")


def _open_xz(path: Path) -> IO[bytes]:
    return lzma.open(path, "rb")


def _open_zst(path: Path) -> Any:
    import pyarrow  # noqa: PLC0415 - slow to import

    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


PACKINGS: dict[str, Callable[[Path], Any]] = {
    ".gz": _open_gzip,
    ".bz2": _open_bz2,
    ".xz": _open_xz,
    ".zst": _open_zst,
}
"""How a packed file is opened, by its suffix."""


def _checked_start(line: bytes, path: Path) -> bytes:
    if line.startswith(_WIDE_MARKS):
        raise EncodingError(f"{path} is UTF-16; UTF-8 was expected", hint=_UTF8_HINT)
    if line.startswith(_LFS_POINTER):
        raise UserError(
            f"{path} is a Git LFS pointer, not the data itself",
            hint="fetch the data with `git lfs pull` in that repository",
        )
    return line.removeprefix(codecs.BOM_UTF8)


def decoded(line: bytes, number: int, path: Path) -> str:
    """The line as text.

    Raises:
        UserError: Not UTF-8; names the column and, if it can be told, the encoding.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode("utf-8")) + 1
        raise EncodingError(
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
