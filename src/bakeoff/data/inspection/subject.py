"""What is looked at: the splits that a recipe names, or all that a bare source holds."""

from dataclasses import dataclass
from itertools import islice

from bakeoff.base.errors import UserError
from bakeoff.base.sources import resolve_path, source_kind
from bakeoff.data.inspection.tolerant import read_tolerantly
from bakeoff.data.inspection.whole_rows import csv_header
from bakeoff.data.rows import likely_column
from bakeoff.data.sources import RowsFile, Splits, Surroundings, source_of
from bakeoff.data.split_files import data_suffix, rows_file
from bakeoff.schema.recipe import Columns, DataSpec

SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""What each split is called, here and elsewhere."""

_NUM_LOOKED_AT = 20


@dataclass(frozen=True)
class OpenedSplits:
    """Files of rows by split, and the columns to read."""

    files: dict[str, tuple[RowsFile, ...]]
    columns: Columns
    present: tuple[str, ...]
    """Columns that stand in the first rows; empty when none could be read."""

    guessed: bool
    """The columns are none that anybody named."""


def open_splits(spec: DataSpec, surroundings: Surroundings, *, is_recipe: bool) -> OpenedSplits:
    """Find the files of every split, without reading more than their beginnings.

    Args:
        spec: Which rows. Of a bare source only `source`, `subset`, `revision` and `columns` count.
        surroundings: Where to look.
        is_recipe: The splits are those that a recipe names, and none may be missing.

    Raises:
        UserError: Nothing is there.
    """
    if is_recipe or _kind(spec, surroundings) == "builtin":
        files = _of(source_of(spec, surroundings.base_dir).open(spec, surroundings))
    else:
        files = _whatever_is_there(spec, surroundings)
    present = _columns_of_first_rows(files)
    columns = spec.columns if is_recipe else _likely_columns(spec.columns, present)
    guessed = columns != spec.columns
    if guessed:
        files = _whatever_is_there(spec.model_copy(update={"columns": columns}), surroundings)
    return OpenedSplits(files, columns, present, guessed)


def _likely_columns(columns: Columns, present: tuple[str, ...]) -> Columns:
    """Columns that nobody named are taken by their usual names."""
    if columns != Columns() or {columns.prompt, columns.response} <= {*present}:
        return columns
    return Columns(
        prompt=likely_column(columns.prompt, "prompt", present) or columns.prompt,
        response=likely_column(columns.response, "response", present) or columns.response,
    )


def _kind(spec: DataSpec, surroundings: Surroundings) -> str:
    return source_kind(spec.source, surroundings.base_dir, key="data.source")


def _of(splits: Splits) -> dict[str, tuple[RowsFile, ...]]:
    named = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: files for name, files in named.items() if files is not None}


def _whatever_is_there(
    spec: DataSpec, surroundings: Surroundings
) -> dict[str, tuple[RowsFile, ...]]:
    path = resolve_path(spec.source, surroundings.base_dir)
    if path.is_file():
        if data_suffix(path.name) is None:
            rows_file(path, spec.columns)  # says which kinds of file there are
        return {"train": _open_one(spec, str(path), surroundings)}
    found: dict[str, tuple[RowsFile, ...]] = {}
    first_error: UserError | None = None
    for split, names in SPLIT_NAMES.items():
        for name in names:
            try:
                found[split] = _open_one(spec, name, surroundings)
                break
            except UserError as error:
                first_error = first_error or error
    if not found:
        raise first_error or UserError(f"{spec.source} holds no rows")
    return found


def _open_one(spec: DataSpec, name: str, surroundings: Surroundings) -> tuple[RowsFile, ...]:
    only = spec.model_copy(update={"train": name, "validation": None, "test": name})
    return source_of(spec, surroundings.base_dir).open(only, surroundings).train


def _columns_of_first_rows(files: dict[str, tuple[RowsFile, ...]]) -> tuple[str, ...]:
    """Names in the order in which they first appear."""
    names: dict[str, None] = {}
    for rows_files in files.values():
        for file in rows_files[:1]:
            names.update(dict.fromkeys(csv_header(file)))
            for _, value in islice(read_tolerantly(file), _NUM_LOOKED_AT):
                if isinstance(value, dict):
                    names.update(dict.fromkeys(str(name) for name in value))
    return tuple(names)
