"""One pass over a split: every row is read, checked and kept; what the later checks need is noted.

What is kept takes about 230 bytes a row, whatever the length of the texts, which lie in a scratch
file.
"""

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bakeoff.base.errors import UserError
from bakeoff.data.formats.reading import RowReader
from bakeoff.data.inspection.kinds import make_finding
from bakeoff.data.inspection.minhash import band_keys
from bakeoff.data.inspection.texts import Placed, Tally
from bakeoff.data.inspection.tolerant import BadRow, has_byte_order_mark, read_tolerantly
from bakeoff.data.inspection.words import Batch, WordHasher
from bakeoff.data.mistakes import (
    EmptyTextError,
    EncodingError,
    MissingColumnError,
    NotJsonError,
    RoleOrderError,
    UnknownRoleError,
    WrongTypeError,
)
from bakeoff.data.overlap import question_key
from bakeoff.data.rows import Row
from bakeoff.data.sources import RowsFile
from bakeoff.data.spool import Spool
from bakeoff.schema.data_check import Finding
from bakeoff.schema.sample import Layout

if TYPE_CHECKING:
    import numpy as np

_BATCH_ROWS = 2_000
_BATCH_CHARACTERS = 2_000_000
_FINAL_ANSWER = re.compile(r"####\s*(.+?)\s*$")

_NUM_LOOKED_AT = 20
_CODES: dict[type[UserError], str] = {
    NotJsonError: "json",
    EncodingError: "encoding",
    MissingColumnError: "missing-column",
    WrongTypeError: "wrong-type",
    EmptyTextError: "empty",
    RoleOrderError: "role-order",
    UnknownRoleError: "unknown-role",
}
_HEADLINES = {
    "json": "rows that are not JSON",
    "encoding": "rows that are not UTF-8",
    "file": "places where a file cannot be read further",
    "missing-column": "rows without a column that is needed",
    "wrong-type": "rows with something of another type than expected",
    "empty": "rows with an empty question or answer",
    "role-order": "conversations in which questions and answers do not take turns",
    "unknown-role": "conversations with a speaker of an unknown name",
    "structure": "rows that cannot be trained on",
}
# Where nothing may tell at which place the next row begins.
_ENDING = ("json", "encoding", "file")
# What to do stands with the kind already.
_SAID_BY_KIND = ("encoding", "empty", "role-order")

OnBatch = Callable[["Scan", Sequence[Placed], Batch], None]
"""Called with the rows and the hashed words of their questions."""


@dataclass
class Scan:
    """What one pass over a split noted."""

    split: str
    spool: Spool
    responses: "array[int]" = field(default_factory=lambda: array("Q"))
    """A key a row, equal for answers that count as the same text."""

    finals: "array[int]" = field(default_factory=lambda: array("Q"))
    """A key a row, equal for answers that come to the same: what follows `####`, or else all."""

    bands: "list[np.ndarray]" = field(default_factory=list)
    num_words: "list[np.ndarray]" = field(default_factory=list)
    bad: dict[str, Tally] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    unread_files: list[str] = field(default_factory=list)
    """Files that could not be read to their end."""

    marked_files: list[str] = field(default_factory=list)
    """Files that begin with a byte-order mark."""

    formats: list[str] = field(default_factory=list)
    """What the rows are read as; mostly one."""

    columns: dict[str, str] = field(default_factory=dict)
    """Columns that the first rows are read from, by their roles."""

    @property
    def num_bad_rows(self) -> int:
        return sum(tally.count for tally in self.bad.values())

    def findings(self) -> Iterator[Finding]:
        """What is wrong with rows that cannot be used."""
        seen = self.num_bad_rows + len(self.spool)
        for code, tally in self.bad.items():
            message = f"{_HEADLINES[code]}: {tally.count:,}"
            if code in _ENDING and self.unread_files:
                message += f"; what follows in {', '.join(self.unread_files)} was not read"
            yield make_finding(
                code,
                message,
                count=tally.count,
                out_of=seen,
                split=self.split,
                examples=tally.examples,
            )
        for label in self.marked_files:
            message = f"{label} begins with a byte-order mark (BOM)"
            yield make_finding("byte-order-mark", message, count=1, split=self.split)
        if not len(self.spool) and not self.bad:
            message = f"{', '.join(self.files)}: no row can be used"
            yield make_finding("no-rows", message, count=0, split=self.split)


def scan_split(scan: Scan, files: Sequence[RowsFile], layout: Layout, *, on_batch: OnBatch) -> None:
    """Read all files of a split into ``scan``, in batches."""
    hasher = WordHasher()
    batch: list[Placed] = []
    size = 0
    scan.files = tuple(file.label for file in files)
    scan.marked_files = [file.label for file in files if has_byte_order_mark(file)]
    for number, row, file in _checked_rows(scan, files, layout):
        scan.spool.append(row, number, question_key(row.asked))
        scan.responses.append(question_key(row.answered))
        scan.finals.append(final_key(row.response))
        batch.append(Placed(f"{file.label}, {file.unit} {number}", row))
        size += len(row.asked) + len(row.answered)
        if len(batch) == _BATCH_ROWS or size > _BATCH_CHARACTERS:
            _finish(scan, batch, hasher, on_batch)
            batch, size = [], 0
    if batch:
        _finish(scan, batch, hasher, on_batch)


def final_key(response: str) -> int:
    """Equal for answers that come to the same."""
    found = _FINAL_ANSWER.search(response)
    plain = found.group(1).replace(",", "") if found else " ".join(response.casefold().split())
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "big")


def _finish(scan: Scan, batch: list[Placed], hasher: WordHasher, on_batch: OnBatch) -> None:
    words = hasher.batch([placed.row.asked for placed in batch])
    scan.bands.append(band_keys(words))
    scan.num_words.append(words.lengths)
    on_batch(scan, batch, words)


def _checked_rows(
    scan: Scan, files: Sequence[RowsFile], layout: Layout
) -> Iterator[tuple[int, Row, RowsFile]]:
    for file in files:
        scan.spool.begin_file(file)
        reader = RowReader(file.layout or layout)
        num_seen = 0
        for number, value in read_tolerantly(file):
            where = f"{file.label}, {file.unit} {number}"
            if isinstance(value, BadRow):
                _note(scan, value.error, where, otherwise="file")
                if value.is_last:
                    scan.unread_files.append(file.label)
                continue
            try:
                row = reader.row(value, where=where)
            except UserError as error:
                _note(scan, error, where, otherwise="structure")
                continue
            if num_seen < _NUM_LOOKED_AT:
                scan.columns.update(reader.columns(value))
                num_seen += 1
            yield number, row, file
        if reader.format_name is not None and reader.format_name not in scan.formats:
            scan.formats.append(reader.format_name)
        try:
            reader.finish(where=file.label)
        except UserError as error:
            _note(scan, error, file.label, otherwise="structure")


def _note(scan: Scan, error: UserError, where: str, *, otherwise: str) -> None:
    code = _CODES.get(type(error), otherwise)
    text = str(error)
    for known in (f"{where}: ", f"{where}, ", f"{where.rpartition(', ')[0]}, "):
        text = text.removeprefix(known)
    hint = f" ({error.hint})" if error.hint and code not in _SAID_BY_KIND else ""
    scan.bad.setdefault(code, Tally()).add(where, text + hint)
