"""An entry of LLaMA-Factory's `dataset_info.json`, read as LLaMA-Factory reads it.

After ``llamafactory/data/parser.py`` and ``converter.py`` (0.9.5), traps included: with `columns`
given, a column that is not named is left alone whatever it is called; without it, only
`instruction`, `input`, `output` or `conversations` are read, so that `system` and `history` must be
named. The same holds for `tags`.

Where we differ, and why: the text "detailed thinking off", which `formatting: openai` adds to the
system message, is not in the data and is not added; `num_samples` is drawn by the recipe's seed.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_files, digest_json
from bakeoff.data.json_causes import json_error
from bakeoff.data.local import local_file, saved_files
from bakeoff.data.source_names import LIST_NAME, PLACES, Entry, find_entry, listed_names
from bakeoff.data.sources import (
    DATA_SOURCES,
    DataSource,
    NoSuchSplitError,
    RowsFile,
    Splits,
    Surroundings,
)
from bakeoff.data.split_files import data_suffix
from bakeoff.data.text import numbered_lines
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout

_COLUMNS = ("prompt", "query", "response", "history", "messages", "system", "tools")
_OTHER_COLUMNS = ("images", "videos", "audios", "chosen", "rejected", "kto_tag")
_REFUSED_COLUMNS = ("images", "videos", "audios", "kto_tag")
_DEFAULT_COLUMNS = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
}
_TAGS = ("role", "content", "user", "assistant", "observation", "function", "system")
_REQUIRED_TAGS = ("role", "content", "user", "assistant")
_FORMATS = {"alpaca": "alpaca", "sharegpt": "sharegpt", "openai": "sharegpt"}
_SETTINGS = ("formatting", "ranking", "subset", "split", "folder", "num_samples")
_IGNORED = ("columns", "tags", "file_sha1", "revision", "help")


class DatasetInfoSource:
    """The entry is the training split; the others are named as entries, splits or files.

    `data.test: NAME` is the entry NAME of the list, or a split NAME of the same repository, or the
    entry whose name has NAME in place of `train` (`gsm8k_train` and `gsm8k_test`), or a file.
    """

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        """Of what the list says and of the files that it names."""
        parts = []
        for listed in _wanted(spec, base_dir).values():
            files = {path.as_posix(): path for path in listed.files()}
            parts.append([listed.raw, listed.split, digest_files(files)])
        return digest_json([parts, spec.revision])

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        wanted = _wanted(spec, surroundings.base_dir)
        files = {key: listed.open(spec, surroundings) for key, listed in wanted.items()}
        num_train = wanted["train"].raw.get("num_samples")
        return Splits(files["train"], files.get("validation"), files["test"], None, num_train)

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        key = "train" if split == "train" else "split"
        return _resolve(spec, split, key, surroundings.base_dir).open(spec, surroundings)


SOURCE = DatasetInfoSource()


class _Listed(NamedTuple):
    """One entry, and which of its splits is meant."""

    list_path: Path
    name: str
    raw: dict[str, Any]
    split: str

    @property
    def place(self) -> str:
        return next(key for key in PLACES if key in self.raw)

    def where(self) -> str:
        return f"{self.list_path}, `{self.name}`"

    def files(self) -> list[Path]:
        """Of an entry on this machine; none for one on a hub."""
        if self.place != "file_name":
            return []
        path = self.list_path.parent / str(self.raw["file_name"])
        if path.is_dir():
            found = saved_files(path) or sorted(
                each for each in path.iterdir() if data_suffix(each.name)
            )
            if len({data_suffix(each.name) for each in found}) == 1:
                return found
            raise UserError(
                f"{self.where()}: the folder {path} must hold files of rows, all of one kind",
                hint="name one file as `file_name`",
            )
        if not path.is_file():
            raise UserError(
                f"{self.where()}: `file_name: {self.raw['file_name']}` names no file: there is no "
                f"{path}",
                hint=f"the path starts at the folder of {LIST_NAME}",
            )
        return [path]

    def open(self, spec: DataSpec, surroundings: Surroundings) -> tuple[RowsFile, ...]:
        layout = _layout(self)
        if self.place == "file_name":
            return tuple(local_file(path, layout) for path in self.files())
        folder, subset = self.raw.get("folder"), self.raw.get("subset")
        if folder and subset:
            raise UserError(
                f"{self.where()}: `folder` together with `subset` is not read",
                hint="leave one of them out",
            )
        inner = spec.model_copy(
            update={
                "source": self.raw[self.place],
                "subset": subset or folder,
                "revision": self.raw.get("revision", spec.revision),
            }
        )
        return self._hub().open_split(inner, self.split, replace(surroundings, layout=layout))

    def _hub(self) -> DataSource:
        return DATA_SOURCES.get("modelscope" if self.place == "ms_hub_url" else "hugging-face")


def _wanted(spec: DataSpec, base_dir: Path) -> dict[str, _Listed]:
    wanted = {"train": spec.train, "validation": spec.validation, "test": spec.test}
    return {
        key: _resolve(spec, name, key, base_dir) for key, name in wanted.items() if name is not None
    }


def _resolve(spec: DataSpec, split: str, key: str, base_dir: Path) -> _Listed:
    """The entry that ``data.KEY: SPLIT`` means."""
    entry = find_entry(spec.source, base_dir)
    if entry is None:
        raise AssertionError("only sources that name an entry come here")
    listed = _entries(entry.list_path)
    name = _chosen_name(entry, listed)
    first = _checked(entry.list_path, name, listed[name])
    if key == "train" and split == "train":
        return first
    sibling = name.replace("train", split)
    for other in (split, sibling, f"{name}_{split}"):
        if other in listed and other != name:
            return _checked(entry.list_path, other, listed[other])
    if data_suffix(split):
        beside = {**listed[name], "file_name": (base_dir / split).resolve().as_posix()}
        raw = {each: value for each, value in beside.items() if each not in PLACES[:-1]}
        return _Listed(entry.list_path, name, raw, split)
    if first.place != "file_name":
        return first._replace(split=split)
    raise NoSuchSplitError(
        f"{entry.list_path} has no entry for `data.{key}: {split}` beside `{name}`; it has "
        f"{', '.join(f'`{each}`' for each in listed)}",
        hint=f"set `data.{key}` to one of these names, or to the path of a file",
    )


def _entries(list_path: Path) -> dict[str, dict[str, Any]]:
    text = "".join(line for _, line in numbered_lines(list_path))
    try:
        listed = json.loads(text)
    except json.JSONDecodeError as error:
        raise json_error(text, error.pos, error.msg, where=str(list_path)) from error
    names = listed_names(listed)
    if not names:
        raise UserError(
            f"{list_path} is no list of datasets as LLaMA-Factory has it",
            hint='such as {"gsm8k": {"file_name": "train.jsonl", "columns": {"prompt": "question", '
            '"response": "answer"}}}',
        )
    return {name: listed[name] for name in names}


def _chosen_name(entry: Entry, listed: dict[str, Any]) -> str:
    if entry.name in listed:
        return str(entry.name)
    if entry.name is None and len(listed) == 1:
        return next(iter(listed))
    names = ", ".join(f"`{name}`" for name in listed)
    missing = "several entries" if entry.name is None else f"no entry `{entry.name}`"
    raise UserError(
        f"{entry.list_path} has {missing}; it lists {names}",
        hint=f"name one: `data.source: {LIST_NAME}:{next(iter(listed))}`",
    )


def _checked(list_path: Path, name: str, raw: dict[str, Any]) -> _Listed:
    """The entry, if nothing in it would be silently left out."""
    listed = _Listed(list_path, name, raw, str(raw.get("split") or "train"))
    if listed.place in ("om_hub_url", "script_url", "cloud_file_name"):
        raise UserError(
            f"{listed.where()}: `{listed.place}` is not read",
            hint="download the rows and name the file as `file_name`",
        )
    if raw.get("ranking"):
        raise UserError(
            f"{listed.where()}: `ranking: true` marks pairs of preferred answers, which are not "
            "trained on here",
            hint="name a dataset of questions with answers",
        )
    unknown = raw.keys() - {*PLACES, *_SETTINGS, *_IGNORED}
    _refuse_unknown(listed, "", unknown, (*_SETTINGS, *_IGNORED[:2]))
    columns = raw.get("columns") or {}
    _refuse_unknown(listed, "columns.", columns.keys() - {*_COLUMNS, *_OTHER_COLUMNS}, _COLUMNS)
    tags = raw.get("tags") or {}
    known_tags = tuple(f"{tag}_tag" for tag in _TAGS)
    _refuse_unknown(listed, "tags.", tags.keys() - {*known_tags}, known_tags)
    for column in _REFUSED_COLUMNS:
        if columns.get(column):
            raise UserError(
                f"{listed.where()}: `columns.{column}` is not read: rows are text only",
                hint="name a dataset of text, or take the column out of the entry",
            )
    return listed


def _refuse_unknown(listed: _Listed, above: str, unknown: set[str], known: tuple[str, ...]) -> None:
    for key in sorted(unknown):
        raise UserError(
            f"{listed.where()}: unknown key `{above}{key}`",
            hint=f"LLaMA-Factory reads {', '.join(f'`{each}`' for each in known)}",
        )


def _layout(listed: _Listed) -> Layout:
    formatting = str(listed.raw.get("formatting") or "alpaca")
    if formatting not in _FORMATS:
        raise UserError(
            f"{listed.where()}: `formatting` must be one of alpaca, sharegpt, openai; got "
            f"`{formatting}`",
            hint="questions with answers are `alpaca`, lists of turns `sharegpt`",
        )
    name = _FORMATS[formatting]
    columns = listed.raw.get("columns")
    tags = {
        key.removesuffix("_tag"): value
        for key, value in (listed.raw.get("tags") or {}).items()
        if value
    }
    missing = [f"tags.{tag}_tag" for tag in _REQUIRED_TAGS if tag not in tags]
    if tags and missing:
        raise UserError(
            f"{listed.where()}: with `tags` given, LLaMA-Factory knows no tag that is not named; "
            f"missing: {', '.join(f'`{key}`' for key in missing)}",
            hint="name them all",
        )
    named = columns if columns is not None else _DEFAULT_COLUMNS[name]
    return Layout(
        name,
        {role: column for role, column in named.items() if column and role in _COLUMNS},
        tags or ({} if name == "alpaca" else dict(_SHAREGPT_TAGS)),
        only_named=True,
        only_named_tags=True,
    )


_SHAREGPT_TAGS = {
    "role": "from",
    "content": "value",
    "user": "human",
    "assistant": "gpt",
    "observation": "observation",
    "function": "function_call",
    "system": "system",
}
