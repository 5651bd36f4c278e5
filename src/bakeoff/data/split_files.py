"""Which files of a folder or repository hold a split, and how each kind of file is read."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from bakeoff.base.errors import UserError
from bakeoff.base.registry import Registry
from bakeoff.data.formats.reading import choose_columns, make_layout
from bakeoff.data.sources import ChooseColumns, NoSuchSplitError, RowsFile
from bakeoff.data.text import PACKINGS
from bakeoff.schema.recipe_subject import Columns, Tags
from bakeoff.schema.sample import Layout

ReadRows = Callable[[Path, ChooseColumns], Iterator[tuple[int, object]]]
"""From a path, and what says which columns of a table are needed, to numbered rows."""

FILE_TYPES: Registry[ReadRows] = Registry(
    "file type",
    {
        ".arrow": "bakeoff.data.table_rows:read_arrow",
        ".csv": "bakeoff.data.table_rows:read_csv",
        ".json": "bakeoff.data.json_rows:read_json",
        ".jsonl": "bakeoff.data.json_rows:read_json",
        ".parquet": "bakeoff.data.table_rows:read_parquet",
        ".txt": "bakeoff.data.text_rows:read_text",
    },
)
_FIRST = {
    ".zip": "unpack it",
    ".tar": "unpack it",
    ".7z": "unpack it",
    ".rar": "unpack it",
    ".xlsx": "save it as CSV UTF-8",
    ".xls": "save it as CSV UTF-8",
    ".tsv": "save it with commas as .csv",
}
"""What to do with files of other kinds that people have."""

_PACKABLE = (".csv", ".json", ".jsonl", ".txt")
_TABLES = (".arrow", ".parquet")
"""Counted in rows, not lines, and read by column."""

_ABOUT_DATA = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
)
"""Files that libraries write beside the rows."""
_ENDING = r"\.[A-Za-z]+(\.([A-Za-z]+|bz2))?"
_SHARD = r"-\d{5}-of-\d{5}(-[0-9a-f]+)?"


def data_suffix(name: str) -> str | None:
    """`.jsonl` of `train.jsonl.gz`; None for what is no file of rows."""
    path = PurePosixPath(name)
    if path.name in _ABOUT_DATA:
        return None
    packed = path.suffix.lower() in PACKINGS
    suffix = (PurePosixPath(path.stem) if packed else path).suffix.lower()
    known = _PACKABLE if packed else FILE_TYPES.names()
    return suffix if suffix in known else None


def rows_file(path: Path, layout: Layout | Columns) -> RowsFile:
    """A file of rows, not yet opened.

    Args:
        path: The file.
        layout: Where in a row what is found; columns alone mean one question and one answer.

    Raises:
        UserError: It is of no kind that can be read.
    """
    suffix = data_suffix(path.name)
    if suffix is None:
        known = [_FIRST[ending] for ending in path.suffixes if ending in _FIRST]
        first = f"{known[0]} first; " if known else ""
        raise UserError(
            f"{path} is no kind of file that rows are read from",
            hint=f"{first}known are {', '.join(FILE_TYPES.names())}, and those of text also packed "
            f"({', '.join(PACKINGS)})",
        )
    if isinstance(layout, Columns):
        layout = make_layout("prompt-response", layout, Tags())
    read = partial(FILE_TYPES.get(suffix), path, partial(choose_columns, layout))
    unit = "row" if suffix in _TABLES else "line"
    return RowsFile(str(path), unit, read, layout)


def whole_rows(file: RowsFile) -> Iterator[tuple[int, object]]:
    """As ``file.read()``, but with every column, for what shows the rows or passes them on.

    Raises:
        UserError: At the first row that cannot be read.
    """
    path = Path(file.label)
    suffix = data_suffix(path.name) if path.is_file() else None
    if suffix in _TABLES or suffix == ".csv":
        return FILE_TYPES.get(suffix)(path, _every_column)
    return file.read()


def _every_column(present: Sequence[str], *, where: str) -> list[str]:  # noqa: ARG001
    """Of columns with the same name none can be told from the other; no format wants them here."""
    return [name for name in present if list(present).count(name) == 1]


def files_of_split(names: Iterable[str], split: str, subset: str | None) -> list[str]:
    """The files that hold ``split``, in order, as they are called on hubs and on disk.

    Looked for are `SPLIT.jsonl`, `SPLIT-00000-of-00002.parquet` and whatever lies in a folder
    `SPLIT`; in the subset's folder if there is one, else at the top, in `data` or in `default`.

    Args:
        names: Relative paths, with `/`.
        split: Name of the split.
        subset: Name of the subset, or None.

    Raises:
        UserError: No file fits, or several that do not belong together.
    """
    data_names = sorted(name for name in names if data_suffix(name))
    has_subset = any(name.startswith(f"{subset}/") for name in data_names)
    name = re.escape(split)
    # `datasets` calls the files of its cache by the dataset's name too: `gsm8k-train.arrow`.
    cached = rf"[^/]+-{name}({_SHARD})?\.arrow"
    pattern = re.compile(rf"{name}(({_SHARD})?{_ENDING}|/[^/]+)|{cached}")
    for folder in [f"{subset}/"] if has_subset else ["", "data/", "default/"]:
        found = [
            name
            for name in data_names
            if name.startswith(folder) and pattern.fullmatch(name.removeprefix(folder))
        ]
        if found:
            _check_one_kind(found, split)
            return found
    raise _no_such_split(split, data_names)


def _check_one_kind(found: list[str], split: str) -> None:
    whole = [
        name for name in found if re.fullmatch(re.escape(split) + _ENDING, name.rpartition("/")[2])
    ]
    if len({data_suffix(name) for name in found}) > 1 or (whole and len(found) > 1):
        raise UserError(
            f"several files could be the split `{split}`: {_listed(found)}",
            hint="name the one that is meant by its path instead of the split's name",
        )


def _no_such_split(split: str, data_names: list[str]) -> NoSuchSplitError:
    stems = {
        re.sub(_SHARD, "", PurePosixPath(name).name.split(".")[0]): name for name in data_names
    }
    close = difflib.get_close_matches(split, stems, n=1)
    if split in stems:
        folder = PurePosixPath(stems[split]).parent
        hint = f"did you mean the subset `{folder}`? Set `data.subset: {folder}`"
    elif close:
        hint = f"did you mean `{close[0]}`?"
    else:
        hint = "name the split as its file is called, or give the file's path"
    return NoSuchSplitError(
        f"no file holds the split `{split}`; the files of rows there are: "
        f"{_listed(data_names) or 'none'}",
        hint=hint,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:8])
