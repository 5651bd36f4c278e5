"""glibc's malloc, replayed: how far the heap of a training on a CPU grows for what tensors take.

With the thresholds that every worker is started with (``worker_launch``) nothing is mapped for
itself and nothing is given back: the smallest free piece that is large enough is taken and split
(``malloc/malloc.c``, ``_int_malloc``), neighbours merge when freed, and the top moves up only when
no piece fits. What was touched once stays in memory.
"""

import bisect

from bakeoff.predict.tape import Tape

_ALIGN = 64
"""torch asks for tensors at multiples of this."""

_HEADER = 16


class _Piece:
    __slots__ = ("after", "before", "is_free", "number", "size")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.is_free = False
        self.before: _Piece | None = None
        self.after: _Piece | None = None


class Heap:
    """One heap; ``top`` is how far it has grown."""

    def __init__(self) -> None:
        self.top = 0
        self._count = 0
        self._last: _Piece | None = None
        self._keys: list[tuple[int, int]] = []
        self._free: dict[int, _Piece] = {}

    def take(self, num_bytes: int) -> _Piece:
        size = -(-(num_bytes + _HEADER) // _ALIGN) * _ALIGN
        at = bisect.bisect_left(self._keys, (size, -1))
        if at == len(self._keys):
            return self._grow(size)
        piece = self._free[self._keys[at][1]]
        self._remove(piece)
        if piece.size - size >= _ALIGN:
            self._split(piece, size)
        return piece

    def drop(self, piece: _Piece) -> None:
        before, after = piece.before, piece.after
        if before is not None and before.is_free:
            self._remove(before)
            piece.size += before.size
            piece.before = before.before
            if piece.before is not None:
                piece.before.after = piece
        if after is not None and after.is_free:
            self._remove(after)
            piece.size += after.size
            piece.after = after.after
            if piece.after is not None:
                piece.after.before = piece
            else:
                self._last = piece
        self._add(piece)

    def _grow(self, size: int) -> _Piece:
        last = self._last
        if last is not None and last.is_free:
            self._remove(last)
            self.top += size - last.size
            last.size = size
            return last
        self.top += size
        self._count += 1
        piece = _Piece(self._count, size)
        piece.before = last
        if last is not None:
            last.after = piece
        self._last = piece
        return piece

    def _split(self, piece: _Piece, size: int) -> None:
        self._count += 1
        rest = _Piece(self._count, piece.size - size)
        piece.size = size
        rest.before, rest.after = piece, piece.after
        if rest.after is not None:
            rest.after.before = rest
        else:
            self._last = rest
        piece.after = rest
        self._add(rest)

    def _add(self, piece: _Piece) -> None:
        bisect.insort(self._keys, (piece.size, piece.number))
        self._free[piece.number] = piece
        piece.is_free = True

    def _remove(self, piece: _Piece) -> None:
        del self._keys[bisect.bisect_left(self._keys, (piece.size, piece.number))]
        del self._free[piece.number]
        piece.is_free = False


def host_bytes(tape: Tape) -> int:
    """Weights, which are read through a mapping of their file, and how far the heap grows."""
    heap = Heap()
    pieces: dict[int, _Piece] = {}
    mapped = 0
    for block, size in tape.events:
        if tape.parts[block] == "weights":
            mapped += max(size, 0)
        elif size < 0:
            heap.drop(pieces.pop(block))
        else:
            pieces[block] = heap.take(size)
    return mapped + heap.top
