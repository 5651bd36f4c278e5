"""Checked rows on disk, reached by number: drawing from a million rows needs little memory."""

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from bakeoff.data.rows import Row, check_row
from bakeoff.data.sources import RowsFile
from bakeoff.schema.recipe import Columns


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
        self._offsets = array("Q")
        self._numbers = array("Q")
        self._file_indices = array("L")
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
        return len(self._offsets)

    def fill(
        self,
        files: Sequence[RowsFile],
        columns: Columns,
        *,
        key: Callable[[str], int],
        on_row: Callable[[int, str], None],
    ) -> None:
        """Check and keep every row of ``files``.

        Raises:
            UserError: At the first row that is not as expected.
        """
        for file in files:
            self._files.append(file)
            for number, value in file.read():
                row = check_row(value, columns, where=f"{file.label}, {file.unit} {number}")
                self._append(row, number)
                self.keys.append(key(row.prompt))
                on_row(len(self), file.label)

    def _append(self, row: Row, number: int) -> None:
        self._offsets.append(self._file.tell())
        self._numbers.append(number)
        self._file_indices.append(len(self._files) - 1)
        self._file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")

    def row(self, index: int) -> Row:
        self._file.seek(self._offsets[index])
        return Row(*json.loads(self._file.readline()))

    def place(self, index: int) -> str:
        """Where a person finds the row."""
        file = self._files[self._file_indices[index]]
        return f"{file.label}, {file.unit} {self._numbers[index]}"

    def row_id(self, index: int) -> str:
        """Split and row number, as in `train-17`; with several files also the file's, from 1."""
        part = f"{self._file_indices[index] + 1}." if len(self._files) > 1 else ""
        return f"{self.split}-{part}{self._numbers[index]}"
