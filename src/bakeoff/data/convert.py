"""Any dataset into any format, and what LLaMA-Factory and ms-swift need beside it.

Rows are read twice: first to check them all and to see what they need, so that nothing is written
when something has no place in the target; then to write, one at a time. A person's files are
touched only when all new ones are whole.
"""

import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.files import write_jsonl, write_text_atomic
from bakeoff.data.convert_survey import Rows, Target, can_be_written, surveyed, unheld
from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.framework_files import framework_files
from bakeoff.data.source_names import LIST_NAME
from bakeoff.data.sources import RowsFile, Surroundings, source_of
from bakeoff.data.splits_there import splits_there
from bakeoff.schema.recipe_subject import DataSpec


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was done."""

    files: tuple[Path, ...]
    num_rows: dict[str, int]
    """By split."""

    lost: dict[str, int]
    """Rows by what of them had no place in the format; rows without a question are left out."""

    unread_columns: tuple[str, ...]
    """Columns of the source that are not carried over, as far as its rows were read with them."""


def convert(
    spec: DataSpec, target: Target, surroundings: Surroundings, *, splits: tuple[str, ...] = ()
) -> Converted:
    """Write the dataset of ``spec`` as ``target`` says.

    Args:
        spec: Which rows; its sizes and seed are not used.
        target: What to write.
        surroundings: Where downloads are kept and how to reach the hub.
        splits: Their names; empty: those of train, validation and test that are there.

    Raises:
        UserError: A row cannot be read, something has no place in the format, or a file is there
            already.
    """
    rows = Rows(spec, surroundings, _files_of_splits(spec, splits, surroundings))
    survey = surveyed(rows, target)
    extra = framework_files(
        target.framework,
        target.format,
        target.layout,
        folder=target.folder,
        entries={split: _entry_name(target.name, split, len(rows.files)) for split in rows.files},
        optional=survey.optional,
        overwrite=target.overwrite,
    )
    names = [f"{split}.jsonl" for split in rows.files]
    _refuse_existing([*names, *(extra.keys() - {LIST_NAME})], target)
    num_rows = _write(rows, target, survey.optional)
    for name, text in extra.items():
        write_text_atomic(target.folder / name, text)
    return Converted(
        files=tuple(target.folder / name for name in [*names, *extra]),
        num_rows=num_rows,
        lost=dict(survey.lost),
        unread_columns=tuple(sorted(survey.unread)),
    )


def _files_of_splits(
    spec: DataSpec, splits: tuple[str, ...], surroundings: Surroundings
) -> dict[str, tuple[RowsFile, ...]]:
    if not splits:
        return splits_there(spec, surroundings, hint="name the splits with --split NAME")
    source = source_of(spec, surroundings.base_dir)
    return {split: source.open_split(spec, split, surroundings) for split in splits}


def _entry_name(name: str, split: str, num_splits: int) -> str:
    return name if num_splits == 1 else f"{name}_{split}"


def _refuse_existing(names: list[str], target: Target) -> None:
    there = [name for name in names if (target.folder / name).exists()]
    if there and not target.overwrite:
        raise UserError(
            f"{target.folder} has {', '.join(f'`{name}`' for name in sorted(there))} already",
            hint="name another folder with -o, or use --force",
        )


def _write(rows: Rows, target: Target, optional: Collection[str]) -> dict[str, int]:
    """Number of rows by split, all files moved into place when all are whole."""
    target.folder.mkdir(parents=True, exist_ok=True)
    num_rows: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=target.folder, prefix=".convert.") as scratch:
        for split in rows.files:
            counter = _Counted(_rows_to_write(rows, split, target, optional))
            write_jsonl(Path(scratch) / f"{split}.jsonl", counter)
            num_rows[split] = counter.number
        for split in rows.files:
            (Path(scratch) / f"{split}.jsonl").replace(target.folder / f"{split}.jsonl")
    return num_rows


def _rows_to_write(
    rows: Rows, split: str, target: Target, optional: Collection[str]
) -> Iterator[dict[str, object]]:
    row_format = ROW_FORMATS.get(target.format)
    for _, sample, _ in rows.samples(split, "writing"):
        if unheld(sample, row_format, target) and not can_be_written(sample, target.format):
            continue
        yield row_format.write(sample, target.layout, with_optional=optional)


class _Counted:
    """Counts what is taken from an iterator."""

    def __init__(self, rows: Iterator[dict[str, object]]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[dict[str, object]]:
        for row in self._rows:
            self.number += 1
            yield row


def summary(converted: Converted) -> dict[str, object]:
    """For `--json`."""
    return {
        "files": [str(path) for path in converted.files],
        "num_rows": converted.num_rows,
        "lost": converted.lost,
        "unread_columns": list(converted.unread_columns),
    }
