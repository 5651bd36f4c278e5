"""Lines of a large file by their number, without reading the file again: where each one begins."""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

Facts = TypeVar("Facts")
_MOST_KEPT = 16


class RowsFile(Generic[Facts]):
    """Where the lines of a file begin, and what a reader noted of each.

    Nothing is kept of a line but its place and those notes: a million lines need few megabytes.
    """

    def __init__(self, path: Path, note: Callable[[bytes], Facts]) -> None:
        self.path = path
        self._begins = array("q")
        self.facts: list[Facts] = []
        position = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written at this moment
                self._begins.append(position)
                self.facts.append(note(line))
                position += len(line)
        self._begins.append(position)

    def __len__(self) -> int:
        return len(self.facts)

    def lines(self, numbers: list[int]) -> Iterator[bytes]:
        """Those lines, in the order asked for."""
        with self.path.open("rb") as file:
            for number in numbers:
                file.seek(self._begins[number])
                yield file.read(self._begins[number + 1] - self._begins[number])


class Kept(Generic[Facts]):
    """The files that were looked at last."""

    def __init__(self, note: Callable[[bytes], Facts]) -> None:
        self._note = note
        self._kept: OrderedDict[tuple[Path, int, int], RowsFile[Facts]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> RowsFile[Facts]:
        """Raises FileNotFoundError."""
        state = path.stat()
        key = (path, state.st_mtime_ns, state.st_size)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = RowsFile(path, self._note)
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
