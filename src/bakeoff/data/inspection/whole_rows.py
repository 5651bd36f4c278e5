"""Rows with all their columns, for what passes them on."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.data.sources import RowsFile
from bakeoff.data.split_files import data_suffix
from bakeoff.data.text import numbered_lines

_BATCH_ROWS = 1024


def whole_rows(file: RowsFile) -> Iterator[tuple[int, object]]:
    """As ``file.read()``, but of Parquet every column and not the wanted two.

    Raises:
        UserError: At the first row that cannot be read.
    """
    path = Path(file.label)
    return _parquet(path) if path.suffix.lower() == ".parquet" else file.read()


def csv_header(file: RowsFile) -> list[str]:
    """Column names of a CSV file; none of any other file, or of one that cannot be read."""
    path = Path(file.label)
    if data_suffix(path.name) != ".csv":
        return []
    with contextlib.suppress(UserError, csv.Error):
        return next(csv.reader(line for _, line in numbered_lines(path)), [])
    return []


def _parquet(path: Path) -> Iterator[tuple[int, object]]:
    import pyarrow  # noqa: PLC0415 - slow to import
    import pyarrow.parquet  # noqa: PLC0415

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}",
            hint="the file is damaged or something else: get it again",
        ) from error
