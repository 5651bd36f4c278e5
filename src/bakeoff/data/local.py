"""Rows from files on this machine: a folder with a file for each split, or files by their paths."""

from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json
from bakeoff.base.hashing import digest_files
from bakeoff.base.sources import near_names_hint, resolve_path
from bakeoff.data.formats.reading import layout_of
from bakeoff.data.json_rows import counts_rows
from bakeoff.data.source_names import LIST_NAME, entry_names
from bakeoff.data.sources import NoSuchSplitError, RowsFile, Splits, Surroundings
from bakeoff.data.split_files import data_suffix, files_of_split, rows_file
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout

_SAVED_STATE = "state.json"
"""What `save_to_disk` of `datasets` leaves in the folder of each split."""


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
        layout = surroundings.layout or layout_of(spec)
        files = {
            split: tuple(local_file(path, layout) for path in paths)
            for split, paths in _split_paths(spec, surroundings.base_dir).items()
        }
        return Splits(files["train"], files.get("validation"), files["test"])

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        base_dir = surroundings.base_dir
        source = resolve_path(spec.source, base_dir)
        key = "train" if split == "train" else "split"
        paths = _paths(split, key, source=source, subset=spec.subset, base_dir=base_dir)
        layout = surroundings.layout or layout_of(spec)
        return tuple(local_file(path, layout) for path in paths)


SOURCE = LocalSource()


def local_file(path: Path, layout: Layout) -> RowsFile:
    """A file of rows, which counts rows rather than lines where it is one array.

    Raises:
        UserError: It is of no kind that can be read.
    """
    file = rows_file(path, layout)
    if data_suffix(path.name) in (".json", ".jsonl") and counts_rows(path):
        return RowsFile(file.label, "row", file.read, layout)
    return file


def saved_files(folder: Path) -> list[Path]:
    """The files of one split as `Dataset.save_to_disk` wrote it; none if it is no such folder."""
    state = folder / _SAVED_STATE
    if not state.is_file():
        return []
    try:
        return [folder / file["filename"] for file in read_json(state)["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{state} is not as `datasets` writes it", hint="save the dataset again"
        ) from error


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
    saved = saved_files(resolve_path(name, source)) or saved_files(resolve_path(name, base_dir))
    if saved:
        return saved
    whole = saved_files(source) or ([source] if not source.is_dir() else [])
    if not whole:
        return _files_in(source, name, key, subset)
    if key == "train":
        return whole
    raise NoSuchSplitError(
        f"`data.source` is {'the single file' if source.is_file() else 'one split,'} {source}, so "
        f"there is no split `{name}` for `data.{key}`",
        hint=f"name the file: `data.{key}: PATH`; rows that are scored must not be trained on, so "
        "they are never taken out of the training file silently",
    )


def _files_in(source: Path, name: str, key: str, subset: str | None) -> list[Path]:
    try:
        found = files_of_split(_names_below(source), name, subset)
    except UserError as error:
        hint = _list_hint(source) or error.hint
        raise type(error)(f"`data.{key}` in {source}: {error}", hint=hint) from error
    return [source / path for path in found]


def _list_hint(folder: Path) -> str | None:
    names = entry_names(folder / LIST_NAME)
    if not names:
        return None
    return (
        f"{LIST_NAME} there is LLaMA-Factory's list: name one of its datasets, e.g. "
        f"`data.source: {folder.name}:{names[0]}`"
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
