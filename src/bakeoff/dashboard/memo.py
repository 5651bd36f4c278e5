"""What was worked out with effort, kept until what it was made of changes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memo(Generic[Value]):
    """The values asked for last.

    Safe to use from several threads; one works and the others wait, because bootstraps use every
    core there is.
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._working = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """``key`` names everything that the value depends on."""
        with self._working:
            if key not in self._kept:
                self._kept[key] = make()
                while len(self._kept) > self._size:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
