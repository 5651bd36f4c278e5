"""Rows of tables: CSV with a header line, Parquet, and Arrow."""

import contextlib
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.data.sources import ChooseColumns
from bakeoff.data.text import numbered_lines

# The largest that the parser takes on every platform; its own default would refuse long texts.
_LONGEST_FIELD = 2**31 - 1
_BATCH_ROWS = 1024
_ARROW_MAGIC = b"ARROW1"


def read_csv(path: Path, choose: ChooseColumns) -> Iterator[tuple[int, object]]:
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
        _check_header(header, choose, path)
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


def _check_header(header: list[str], choose: ChooseColumns, path: Path) -> None:
    where = f"{path}, line 1 (the header)"
    for other, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and other in header[0]:
            raise UserError(
                f"{where}: the values are separated by {name}; commas were expected",
                hint="save the file with commas between the values",
            )
    for column in choose(header, where=where):
        if header.count(column) > 1:
            raise UserError(
                f"{where}: the column `{column}` stands there {header.count(column)} times",
                hint="rename all but one",
            )


def read_parquet(path: Path, choose: ChooseColumns) -> Iterator[tuple[int, object]]:
    """Rows counted from 1; only the wanted columns are read, a batch at a time."""
    import pyarrow  # noqa: PLC0415 - slow to import
    import pyarrow.parquet  # noqa: PLC0415

    with _translated_errors(path, "Parquet"), pyarrow.parquet.ParquetFile(path) as file:
        columns = choose(file.schema_arrow.names, where=str(path))
        yield from _numbered(file.iter_batches(batch_size=_BATCH_ROWS, columns=columns))


def read_arrow(path: Path, choose: ChooseColumns) -> Iterator[tuple[int, object]]:
    """Rows counted from 1, of either form: a stream (what `datasets` writes) or a file (Feather).

    The file is mapped, not read: memory holds the batch at hand.
    """
    import pyarrow  # noqa: PLC0415 - slow to import
    import pyarrow.ipc  # noqa: PLC0415

    with _translated_errors(path, "Arrow"), pyarrow.memory_map(str(path)) as mapped:
        is_file = mapped.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
        mapped.seek(0)
        reader = pyarrow.ipc.open_file(mapped) if is_file else pyarrow.ipc.open_stream(mapped)
        columns = choose(reader.schema.names, where=str(path))
        batches = (
            (reader.get_batch(index) for index in range(reader.num_record_batches))
            if is_file
            else reader
        )
        yield from _numbered(batch.select(columns) for batch in batches)


def _numbered(batches: Iterable[Any]) -> Iterator[tuple[int, object]]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            for row in batch.slice(start, _BATCH_ROWS).to_pylist():
                number += 1
                yield number, row


@contextlib.contextmanager
def _translated_errors(path: Path, kind: str) -> Iterator[None]:
    import pyarrow  # noqa: PLC0415 - slow to import

    try:
        yield
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}",
            hint="the file is damaged or something else: get it again",
        ) from error
