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
from bakeoff.data.inspection.kinds import make_finding
from bakeoff.data.inspection.minhash import band_keys
from bakeoff.data.inspection.texts import Placed, Tally
from bakeoff.data.inspection.tolerant import BadRow, has_byte_order_mark, read_tolerantly
from bakeoff.data.inspection.words import Batch, WordHasher
from bakeoff.data.overlap import question_key
from bakeoff.data.rows import Row, check_row
from bakeoff.data.sources import RowsFile
from bakeoff.data.spool import Spool
from bakeoff.schema.data_check import Finding
from bakeoff.schema.recipe import Columns

if TYPE_CHECKING:
    import numpy as np

_BATCH_ROWS = 2_000
_BATCH_CHARACTERS = 2_000_000
_FINAL_ANSWER = re.compile(r"####\s*(.+?)\s*$")

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
    marked_files: list[str] = field(default_factory=list)
    """Files that begin with a byte-order mark."""

    @property
    def num_bad_rows(self) -> int:
        return sum(tally.count for tally in self.bad.values())

    def findings(self) -> Iterator[Finding]:
        """What is wrong with rows that cannot be used."""
        messages = {
            "json": "rows that are not JSON",
            "encoding": "rows that are not UTF-8",
            "file": "places where a file cannot be read further",
            "structure": "rows without the two texts that are expected",
            "empty": "rows with an empty question or answer",
        }
        seen = self.num_bad_rows + len(self.spool)
        for code, tally in self.bad.items():
            message = f"{messages[code]}: {tally.count:,}"
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
        if not len(self.spool):
            message = f"{', '.join(self.files)}: no row can be used"
            yield make_finding("no-rows", message, count=0, split=self.split)


def scan_split(
    scan: Scan, files: Sequence[RowsFile], columns: Columns, *, on_batch: OnBatch
) -> None:
    """Read all files of a split into ``scan``, in batches."""
    hasher = WordHasher()
    batch: list[Placed] = []
    size = 0
    scan.files = tuple(file.label for file in files)
    scan.marked_files = [file.label for file in files if has_byte_order_mark(file)]
    for number, row, file in _checked_rows(scan, files, columns):
        scan.spool.append(row, number, question_key(row.prompt))
        scan.responses.append(question_key(row.response))
        scan.finals.append(final_key(row.response))
        batch.append(Placed(f"{file.label}, {file.unit} {number}", row))
        size += len(row.prompt) + len(row.response)
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
    words = hasher.batch([placed.row.prompt for placed in batch])
    scan.bands.append(band_keys(words))
    scan.num_words.append(words.lengths)
    on_batch(scan, batch, words)


def _checked_rows(
    scan: Scan, files: Sequence[RowsFile], columns: Columns
) -> Iterator[tuple[int, Row, RowsFile]]:
    for file in files:
        scan.spool.begin_file(file)
        for number, value in read_tolerantly(file):
            where = f"{file.label}, {file.unit} {number}"
            if isinstance(value, BadRow):
                _note(scan, value.code, where, value.error)
                continue
            try:
                row = check_row(value, columns, where=where)
            except UserError as error:
                _note(scan, _code_of(value, columns), where, error)
                continue
            yield number, row, file


def _note(scan: Scan, code: str, where: str, error: UserError) -> None:
    text = str(error).removeprefix(f"{where}: ").removeprefix(f"{where}, ")
    hint = f" ({error.hint})" if error.hint and code in ("json", "structure") else ""
    scan.bad.setdefault(code, Tally()).add(where, text + hint)


def _code_of(value: object, columns: Columns) -> str:
    """`empty` when the columns are there and one of them is blank."""
    if not isinstance(value, dict):
        return "structure"
    texts = [value.get(name, 0) for name in (columns.prompt, columns.response)]
    is_blank = [text is None or (isinstance(text, str) and not text.strip()) for text in texts]
    return "empty" if any(is_blank) else "structure"
