"""Rows of any number as flat arrays, in memory or on disk: a row is made when it is asked for.

A million rows as Python lists take gigabytes; here a token takes five bytes of a file that the
system maps into memory and may drop again.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from bakeoff.worker.rows import IGNORED, Row

Numbers = npt.NDArray[np.int64]
Parts = dict[str, npt.NDArray[Any]]
"""The arrays of a table by their names, those of ``_TYPES``."""

_FACTS = "facts.json"
_TYPES = {"token_ids": "<i4", "learned": "?", "ends": "<i8", "names": "u1", "name_ends": "<i8"}
_COUNTED = {"ends": "token_ids", "name_ends": "names"}
"""Arrays of places, and the array that each has them of."""


class RowTable:
    """``R`` rows with ``N`` tokens in all.

    Args:
        parts: `token_ids` (N,); `learned` (N,), whether a token is a label; `ends` (R,), where each
            row ends among them; `names`, the identifiers in UTF-8; `name_ends` (R,).
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts["ends"])

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        part = self._span("ends", index)
        token_ids = self.parts["token_ids"][part]
        labels = np.where(self.parts["learned"][part], token_ids, IGNORED)
        name = self.parts["names"][self._span("name_ends", index)].tobytes().decode("utf-8")
        return Row(name, token_ids.tolist(), labels.tolist())

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self)))

    @functools.cached_property
    def num_targets(self) -> Numbers:
        """(R,) labels that a next-token prediction can learn: all but a row's very first token."""
        begins = begins_of(self.parts["ends"])
        learned = self.parts["learned"]
        return sums(learned, begins) - learned[begins]

    def _span(self, ends: str, index: int) -> slice:
        places = self.parts[ends]
        return slice(int(places[index - 1]) if index else 0, int(places[index]))


def names_parts(names: Sequence[str]) -> Parts:
    """The parts of a table that hold its rows' identifiers."""
    encoded = [name.encode("utf-8") for name in names]
    return {
        "names": np.frombuffer(b"".join(encoded), np.uint8),
        "name_ends": np.cumsum([len(name) for name in encoded], dtype=np.int64),
    }


def begins_of(ends: Numbers) -> Numbers:
    """Where each of several stretches begins that lie one behind the other."""
    return np.concatenate([[0], ends])[:-1]


def sums(values: npt.NDArray[Any], begins: Numbers) -> Numbers:
    """Of stretches of ``values``, none of them empty, that begin at these places."""
    return np.add.reduceat(values, begins, dtype=np.int64) if len(begins) else begins


class TableWriter(ExitStack):
    """Writes the files of a table; the facts last, so that their presence means complete."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files = {name: self.enter_context((folder / name).open("wb")) for name in _TYPES}
        self._sizes = dict.fromkeys(_TYPES, 0)
        self._longest = (0, 0)
        self._num_targets = 0

    def append(self, table: RowTable) -> None:
        """Put rows behind those that are there."""
        if not len(table):
            return
        lengths = np.diff(table.parts["ends"], prepend=0)
        longest = int(lengths.argmax())  # the first of several
        self._longest = max(self._longest, (int(lengths[longest]), -self._sizes["ends"] - longest))
        self._num_targets += int(table.num_targets.sum())
        before = dict(self._sizes)
        for name, values in table.parts.items():
            counted = before[_COUNTED[name]] if name in _COUNTED else 0
            (values + counted if counted else values).astype(_TYPES[name], copy=False).tofile(
                self._files[name]
            )
            self._sizes[name] += len(values)

    def finish(self, **facts: Any) -> None:
        """Close the files and note ``facts`` and what is known of all rows together."""
        self.close()
        known = {
            "num_tokens": self._sizes["token_ids"],
            "num_targets": self._num_targets,
            "longest": -self._longest[1],
        }
        (self._folder / _FACTS).write_text(json.dumps({**known, **facts}), encoding="utf-8")


def open_table(folder: Path) -> tuple[RowTable, dict[str, Any]]:
    """What :class:`TableWriter` has written: the rows, mapped into memory, and the facts."""
    parts = {name: _mapped(folder / name, kind) for name, kind in _TYPES.items()}
    return RowTable(parts), json.loads((folder / _FACTS).read_text(encoding="utf-8"))


def _mapped(path: Path, kind: str) -> npt.NDArray[Any]:
    if path.stat().st_size == 0:  # cannot be mapped
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r")
