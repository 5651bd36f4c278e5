"""Rows of any number as flat files: a row is made of them when it is asked for.

A million rows as Python lists take gigabytes; here a token takes five bytes of a file that the
system maps into memory and may drop again.
"""

import json
import mmap
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, overload

from bakeoff.worker.rows import IGNORED, Row

_FACTS = "facts.json"
_PARTS = {"token_ids": "i", "learned": "b", "ends": "q", "names": "b", "name_ends": "q"}
"""Files of a table and the type of their numbers, in the words of `array`."""


class RowTable:
    """The rows of one split in a folder that :class:`TableWriter` has written."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        self._parts = {name: _mapped(folder / name, kind) for name, kind in _PARTS.items()}

    def __len__(self) -> int:
        return len(self._parts["ends"])

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
        token_ids = self._parts["token_ids"][part].tolist()
        learned = self._parts["learned"][part].tolist()
        labels = [
            t if is_learned else IGNORED for t, is_learned in zip(token_ids, learned, strict=True)
        ]
        name = bytes(self._parts["names"][self._span("name_ends", index)]).decode("utf-8")
        return Row(name, token_ids, labels)

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self)))

    def _span(self, ends: str, index: int) -> slice:
        places = self._parts[ends]
        return slice(places[index - 1] if index else 0, places[index])


class TableWriter(ExitStack):
    """Writes the files of a table; the facts last, so that their presence means complete."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files = {name: self.enter_context((folder / name).open("wb")) for name in _PARTS}
        self._num_bytes = dict.fromkeys(("ends", "name_ends"), 0)
        self._longest = (0, 0)
        self._num_rows = self._num_targets = 0

    def append(self, rows: list[Row]) -> None:
        """Put rows behind those that are there."""
        parts = {name: array(kind) for name, kind in _PARTS.items()}
        for row in rows:
            num_tokens, name = len(row.token_ids), row.id.encode("utf-8")
            self._longest = max(self._longest, (num_tokens, -self._num_rows))
            self._num_rows += 1
            self._num_targets += row.num_targets
            parts["token_ids"].extend(row.token_ids)
            parts["learned"].extend([label != IGNORED for label in row.labels])
            parts["names"].frombytes(name)
            for key, number in (("ends", num_tokens), ("name_ends", len(name))):
                self._num_bytes[key] += number
                parts[key].append(self._num_bytes[key])
        for key, values in parts.items():
            values.tofile(self._files[key])

    def finish(self, **facts: Any) -> None:
        """Close the files and note ``facts`` and what is known of all rows together."""
        self.close()
        known = {
            "num_tokens": self._num_bytes["ends"],
            "num_targets": self._num_targets,
            "longest": -self._longest[1],
        }
        (self._folder / _FACTS).write_text(json.dumps({**known, **facts}), encoding="utf-8")


def _mapped(path: Path, kind: str) -> memoryview:
    with path.open("rb") as file:
        if path.stat().st_size == 0:  # cannot be mapped
            return memoryview(array(kind))
        content: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    code: Any = kind
    return memoryview(content).cast(code)
