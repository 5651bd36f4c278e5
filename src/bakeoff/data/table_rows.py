"""Rows of tables: CSV with a header line, and Parquet."""

import csv
from collections.abc import Iterator
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.data.rows import missing_column
from bakeoff.data.text import numbered_lines

# The largest that the parser takes on every platform; its own default would refuse long texts.
_LONGEST_FIELD = 2**31 - 1
_BATCH_ROWS = 1024


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, object]]:
    """Rows with the line on which each ends; every value is text.

    Raises:
        UserError: No header, a wrong number of values, or quotes that do not close.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader((line for _, line in numbered_lines(path)), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_header(header, columns, path)
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise UserError(
                    f"{path}, line {reader.line_num}: expected {len(header)} values as in the "
                    f"header, got {len(values)}",
                    hint="a text that holds a comma, a quote or a line break must stand in double "
                    'quotes, and a quote inside it must be doubled ("")',
                )
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: not valid CSV: {error}",
            hint='a quote inside a quoted text must be doubled ("")',
        ) from error


def _check_header(header: list[str], columns: tuple[str, ...], path: Path) -> None:
    where = f"{path}, line 1 (the header)"
    for column in columns:
        if header.count(column) > 1:
            raise UserError(
                f"{where}: the column `{column}` stands there {header.count(column)} times",
                hint="rename all but one",
            )
    for other, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and other in header[0]:
            raise UserError(
                f"{where}: the values are separated by {name}; commas were expected",
                hint="save the file with commas between the values",
            )
    for role, column in zip(("prompt", "response"), columns, strict=True):
        if column not in header:
            raise missing_column(column, role, present=header, where=where)


def read_parquet(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, object]]:
    """Rows counted from 1; only the wanted columns are read, a batch at a time."""
    import pyarrow  # noqa: PLC0415 - slow to import
    import pyarrow.parquet  # noqa: PLC0415

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for role, column in zip(("prompt", "response"), columns, strict=True):
                if column not in file.schema_arrow.names:
                    raise missing_column(
                        column, role, present=file.schema_arrow.names, where=str(path)
                    )
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}",
            hint="the file is damaged or something else: get it again",
        ) from error
