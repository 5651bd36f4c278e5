"""Rows from files on this machine: a folder with a file for each split, or files by their paths."""

from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_files
from bakeoff.base.sources import near_names_hint, resolve_path
from bakeoff.data.json_rows import counts_rows
from bakeoff.data.sources import RowsFile, Splits, Surroundings
from bakeoff.data.split_files import data_suffix, files_of_split, rows_file
from bakeoff.schema.recipe import Columns, DataSpec


class LocalSource:
    """A subset is looked for as a folder; where there is none of that name it makes no difference.

    (So that a recipe made for a hub's dataset reads a plain folder when only `data.source` is
    replaced.)
    """

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        """Of the contents of all files that would be read; names and places make no difference."""
        files = {
            f"{split}/{number}": path
            for split, paths in _split_paths(spec, base_dir).items()
            for number, path in enumerate(paths)
        }
        return digest_files(files)

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        files = {
            split: tuple(_rows_file(path, spec.columns) for path in paths)
            for split, paths in _split_paths(spec, surroundings.base_dir).items()
        }
        return Splits(files["train"], files.get("validation"), files["test"])


SOURCE = LocalSource()


def _rows_file(path: Path, columns: Columns) -> RowsFile:
    file = rows_file(path, columns)
    if file.unit == "line" and data_suffix(path.name) != ".csv" and counts_rows(path):
        return RowsFile(file.label, "row", file.read)
    return file


def _split_paths(spec: DataSpec, base_dir: Path) -> dict[str, list[Path]]:
    source = resolve_path(spec.source, base_dir)
    wanted = {"train": spec.train, "validation": spec.validation, "test": spec.test}
    return {
        key: _paths(name, key, source=source, subset=spec.subset, base_dir=base_dir)
        for key, name in wanted.items()
        if name is not None
    }


def _paths(name: str, key: str, *, source: Path, subset: str | None, base_dir: Path) -> list[Path]:
    """Files of the split that the recipe's ``data.KEY: NAME`` asks for."""
    if data_suffix(name):
        return [_named_file(name, key, source=source, base_dir=base_dir)]
    if source.is_dir():
        try:
            found = files_of_split(_names_below(source), name, subset)
        except UserError as error:
            raise UserError(f"`data.{key}` in {source}: {error}", hint=error.hint) from error
        return [source / path for path in found]
    if key == "train":
        return [source]
    raise UserError(
        f"`data.source` is the single file {source}, so there is no split `{name}` for "
        f"`data.{key}`",
        hint=f"name the file: `data.{key}: PATH`; rows that are scored must not be trained on, so "
        "they are never taken out of the training file silently",
    )


def _names_below(folder: Path) -> list[str]:
    """Files of the folder and two levels below: a subset's folder, and a split's in that."""
    return [
        path.relative_to(folder).as_posix()
        for pattern in ("*", "*/*", "*/*/*")
        for path in folder.glob(pattern)
        if path.is_file()
    ]


def _named_file(name: str, key: str, *, source: Path, base_dir: Path) -> Path:
    """A path from the recipe's folder, or else from the source's own."""
    path = resolve_path(name, base_dir)
    inside = resolve_path(name, source)
    if path.is_file():
        return path
    if source.is_dir() and inside.is_file():
        return inside
    raise UserError(
        f"`data.{key}: {name}` names no file: there is no {path}",
        hint=near_names_hint(inside if inside.parent.is_dir() else path),
    )
