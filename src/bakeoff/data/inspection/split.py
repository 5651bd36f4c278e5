"""`bakeoff data split`: a source becomes a folder of splits that share no question."""

import contextlib
import hashlib
import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole, read_json, write_json_atomic
from bakeoff.base.hashing import digest_file, digest_json
from bakeoff.base.hub import Report
from bakeoff.data.inspection.assign import LEFT_OUT, assign, join_equal
from bakeoff.data.inspection.minhash import Clusters
from bakeoff.data.inspection.pairs import NearRows
from bakeoff.data.inspection.scan import Scan, scan_split
from bakeoff.data.inspection.subject import OpenedSplits
from bakeoff.data.sources import RowsFile
from bakeoff.data.split_files import whole_rows
from bakeoff.data.spool import Spool
from bakeoff.schema.data_split import SplitRecord, SplitSettings

RECORD = "split.json"
_LAYOUT_VERSION = 1
"""Raised whenever the same rows and settings would be split otherwise."""


def split_rows(
    opened: OpenedSplits,
    settings: SplitSettings,
    folder: Path,
    *,
    source: str,
    force: bool,
    report: Report,
) -> tuple[SplitRecord, bool]:
    """Write the splits into ``folder``; gives the record, and whether it was there already.

    Rows keep all their columns and their order. Rows with the same question (case, white space
    and width aside) always stay together.

    Args:
        opened: The source; its test split, if it has one, is kept as it is.
        settings: What is asked for.
        folder: Appears when whole.
        source: What the record calls the source.
        force: Replace another split in ``folder``.
        report: Called with rows done, the total (0: not known) and what is going on.

    Raises:
        UserError: A row cannot be used, a split would be empty, or ``folder`` holds something else.
    """
    settings = _for_source(opened, settings)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bakeoff-split-"))
        spool = stack.enter_context(Spool("rows", Path(scratch) / "rows.spool"))
        scan = Scan("rows", spool)
        files = [*opened.files.get("test", ()), *opened.files["train"]]
        facts = _read(scan, files, opened, settings, report)
        found = _found_again(folder, _id(settings, facts.digest), force=force)
        if found is not None:
            return found, True
        clusters = Clusters(len(spool))
        join_equal(clusters, spool.keys)
        if settings.group_by is not None:
            join_equal(clusters, facts.groups)
        if settings.near_duplicates:
            report(0, 0, "looking for near-duplicates")
            _join_near(clusters, scan)
        splits = assign(clusters, len(spool), num_fixed=facts.num_fixed, settings=settings)
    report(0, 0, f"writing {folder}")
    return _write(folder, files, splits, facts.digest, settings, source), False


@dataclass
class _Facts:
    """What one pass over the rows told."""

    groups: "array[int]" = field(default_factory=lambda: array("q"))
    digest: str = ""
    num_fixed: int = 0


def _for_source(opened: OpenedSplits, settings: SplitSettings) -> SplitSettings:
    for name, part in (("test", settings.test), ("validation", settings.validation)):
        if part is not None and part > 1 and part != int(part):
            raise UserError(
                f"--{name} {part}: expected a share below 1 or a whole number of rows",
                hint=f"such as --{name} 0.1 or --{name} {int(part)}",
            )
    if "train" not in opened.files:
        raise UserError(
            f"the source holds no training rows, only {' and '.join(opened.files)}",
            hint="name the file whose rows are to be split",
        )
    if "validation" in opened.files:
        raise UserError(
            "the source has a validation split already",
            hint="to split anew, name the file of its training rows alone",
        )
    if "test" not in opened.files:
        return settings if settings.test is not None else settings.model_copy(update={"test": 0.1})
    if settings.test is not None:
        raise UserError(
            "the source has a test split already, and validation comes out of training, so there "
            "is nothing to take a test split from",
            hint="leave out --test, or name the file of its training rows alone to split them anew",
        )
    return settings


def _read(
    scan: Scan,
    files: Sequence[RowsFile],
    opened: OpenedSplits,
    settings: SplitSettings,
    report: Report,
) -> _Facts:
    """Check every row and note what holds rows together.

    Raises:
        UserError: A row cannot be used, or has no such column as ``group_by``.
    """
    facts = _Facts()
    digest = hashlib.sha256()
    num_test_files = len(opened.files.get("test", ()))
    numbers: dict[str, int] = {}
    for index, file in enumerate(files):
        for number, value in whole_rows(file):
            digest.update(_line(value))
            facts.num_fixed += index < num_test_files
            if settings.group_by is not None:
                place = f"{file.label}, {file.unit} {number}"
                key = _group(value, settings.group_by, place)
                facts.groups.append(numbers.setdefault(key, len(numbers)))
    scan_split(
        scan,
        files,
        opened.layout,
        on_batch=lambda *_: report(len(scan.spool), 0, "reading rows"),
    )
    if scan.num_bad_rows or not len(scan.spool):
        raise _unusable(scan)
    facts.digest = digest.hexdigest()
    return facts


def _unusable(scan: Scan) -> UserError:
    hint = "`bakeoff data check` lists everything that is wrong with the rows"
    for tally in scan.bad.values():
        first = tally.examples[0]
        number = f"{scan.num_bad_rows:,} rows cannot be used, such as "
        return UserError(f"{number}{first.place}: {first.text}", hint=hint)
    return UserError(f"{', '.join(scan.files)}: there are no rows to split", hint=hint)


def _group(value: object, column: str, place: str) -> str:
    if not isinstance(value, dict) or column not in value:
        present = ", ".join(f"`{name}`" for name in value) if isinstance(value, dict) else "none"
        raise UserError(
            f"{place}: there is no column `{column}` to group by; the columns there are {present}",
            hint="name one of them with --group-by",
        )
    return json.dumps(value[column], sort_keys=True, default=str)


def _join_near(clusters: Clusters, scan: Scan) -> None:
    near = NearRows([scan])
    if not near.found.is_complete:
        raise UserError(
            "too many questions are nearly the same for all of them to be compared",
            hint="take repeated rows out first, or split by a column with --group-by",
        )
    for pair in near.found.inside:
        clusters.join(near.place(pair.one)[1], near.place(pair.other)[1])


def _id(settings: SplitSettings, rows_digest: str) -> str:
    return digest_json([_LAYOUT_VERSION, settings.model_dump(mode="json"), rows_digest])[:16]


def _found_again(folder: Path, wanted_id: str, *, force: bool) -> SplitRecord | None:
    """The record in ``folder`` if it is of the same split and its files are as they were.

    Raises:
        UserError: Something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    record = _record(folder / RECORD)
    if record is None:
        raise UserError(
            f"{folder} holds something else than a split made by `bakeoff data split`",
            hint="name a new folder with -o",
        )
    changed = [
        name
        for name, digest in record.digests.items()
        if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    if record.id == wanted_id and not changed:
        return record
    if force:
        return None
    what = f"`{changed[0]}` in it was changed" if changed else "it is of other rows or settings"
    raise UserError(
        f"{folder} holds a split already, but {what}",
        hint="name a new folder with -o, or replace the split with --force",
    )


def _record(path: Path) -> SplitRecord | None:
    try:
        return SplitRecord.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError):
        return None


def _write(
    folder: Path,
    files: Sequence[RowsFile],
    splits: Sequence[str],
    rows_digest: str,
    settings: SplitSettings,
    source: str,
) -> SplitRecord:
    names = [name for name in ("train", "validation", "test") if name in splits]
    with folder_when_whole(folder) as made:
        with contextlib.ExitStack() as stack:
            streams: dict[str, Any] = {
                name: stack.enter_context((made / f"{name}.jsonl").open("wb")) for name in names
            }
            for split, (_, value) in zip(splits, _all_rows(files), strict=True):
                if split != LEFT_OUT:
                    streams[split].write(_line(value))
        record = SplitRecord(
            id=_id(settings, rows_digest),
            source=source,
            settings=settings,
            rows_digest=rows_digest,
            num_rows={name: splits.count(name) for name in names},
            num_left_out=splits.count(LEFT_OUT),
            digests={f"{name}.jsonl": digest_file(made / f"{name}.jsonl") for name in names},
        )
        write_json_atomic(made / RECORD, record.model_dump(mode="json"))
    return record


def _all_rows(files: Sequence[RowsFile]) -> Iterator[tuple[int, object]]:
    return chain.from_iterable(whole_rows(file) for file in files)


def _line(value: object) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:  # half a character in a column that is passed on unread
        text = json.dumps(value, default=str).encode("ascii")
    return text + b"\n"
