"""Checked rows on disk, reached by number: drawing from a million rows needs little memory."""

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from bakeoff.data.formats.reading import RowReader, make_layout
from bakeoff.data.rows import Row
from bakeoff.data.sources import RowsFile
from bakeoff.schema.recipe_subject import Columns, Tags
from bakeoff.schema.sample import Layout

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Row)


class Spool:
    """The rows of one split, in a scratch file that lives as long as the ``with`` block.

    Memory is 28 bytes a row, whatever the length of the texts.
    """

    def __init__(self, split: str, path: Path) -> None:
        self.split = split
        self.keys = array("Q")
        """One key a row, equal for questions that count as the same."""

        self._path = path
        self._file = path.open("w+b")
        self._ends = array("Q", [0])
        self._numbers = array("Q")
        self._file_indices = array("I")
        self._files: list[RowsFile] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._path.unlink()

    def __len__(self) -> int:
        return len(self._numbers)

    def fill(
        self,
        files: Sequence[RowsFile],
        layout: Layout | Columns,
        *,
        key: Callable[[str], int],
        on_row: Callable[[int, str], None],
    ) -> None:
        """Check and keep every row of ``files``.

        Raises:
            UserError: At the first row that is not as expected.
        """
        if isinstance(layout, Columns):
            layout = make_layout("prompt-response", layout, Tags())
        for file in files:
            self.begin_file(file)
            reader = RowReader(file.layout or layout)
            for number, value in file.read():
                row = reader.row(value, where=f"{file.label}, {file.unit} {number}")
                self.append(row, number, key(row.asked))
                on_row(len(self), file.label)
            reader.finish(where=file.label)

    def begin_file(self, file: RowsFile) -> None:
        """The rows that follow come from ``file``."""
        self._files.append(file)

    def append(self, row: Row, number: int, key: int) -> None:
        """Keep a checked row, which stands in the file's line or row ``number``."""
        self.keys.append(key)
        self._numbers.append(number)
        self._file_indices.append(len(self._files) - 1)
        self._ends.append(self._ends[-1] + self._file.write(_ENCODER.encode(row)))

    def row(self, index: int) -> Row:
        """The row as it was kept. Nothing is appended after the first that is read."""
        start, end = self._ends[index : index + 2]
        self._file.seek(start)
        return _DECODER.decode(self._file.read(end - start))

    def place(self, index: int) -> str:
        """Where a person finds the row."""
        file = self._files[self._file_indices[index]]
        return f"{file.label}, {file.unit} {self._numbers[index]}"

    def row_id(self, index: int) -> str:
        """Split and row number, as in `train-17`; with several files also the file's, from 1."""
        part = f"{self._file_indices[index] + 1}." if len(self._files) > 1 else ""
        return f"{self.split}-{part}{self._numbers[index]}"
