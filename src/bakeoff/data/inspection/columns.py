"""What the rows of each split are read as, and which of their columns are left unused."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from bakeoff.data.inspection.kinds import make_finding
from bakeoff.data.inspection.scan import Scan
from bakeoff.data.inspection.tolerant import read_tolerantly
from bakeoff.data.rows import COLUMN_MEANINGS
from bakeoff.data.sources import RowsFile
from bakeoff.schema.data_check import Finding

_NUM_LOOKED_AT = 20


def columns_findings(
    scans: Mapping[str, Scan], files: Mapping[str, Sequence[RowsFile]]
) -> Iterator[Finding]:
    """One for all splits that are read alike."""
    unused_by_reading: dict[str, dict[str, None]] = {}
    splits: dict[str, list[str]] = {}
    for split in files:
        scan = scans[split]
        if scan.formats:
            reading = _reading(scan)
            splits.setdefault(reading, []).append(split)
            unused = [name for name in _present(files[split]) if name not in scan.columns.values()]
            unused_by_reading.setdefault(reading, {}).update(dict.fromkeys(unused))
    for reading, names in splits.items():
        unused_names = [f"`{name}`" for name in unused_by_reading[reading]]
        others = f"; not used: {', '.join(unused_names)}" if unused_names else ""
        yield make_finding(
            "columns", reading + others, count=len(unused_names), split=", ".join(names)
        )


def _reading(scan: Scan) -> str:
    """`read as prompt-response: the question from `question`, the answer from `answer``."""
    by_meaning: dict[str, list[str]] = {}
    for role, name in scan.columns.items():
        by_meaning.setdefault(COLUMN_MEANINGS[role], []).append(f"`{name}`")
    parts = [f"{meaning} from {' and '.join(names)}" for meaning, names in by_meaning.items()]
    formats = " and ".join(scan.formats)
    return f"read as {formats}: {', '.join(parts)}" if parts else f"read as {formats}"


def _present(files: Sequence[RowsFile]) -> list[str]:
    """Columns of the first rows, in the order in which they first appear."""
    names: dict[str, None] = {}
    for file in files[:1]:
        for _, value in islice(read_tolerantly(file, every_column=True), _NUM_LOOKED_AT):
            if isinstance(value, dict):
                names.update(dict.fromkeys(str(name) for name in value))
    return list(names)
