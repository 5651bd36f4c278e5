"""glibc's malloc, replayed: what a training on a CPU holds at most for what its tensors take.

The smallest free piece that is large enough is taken and split (``malloc/malloc.c``,
``_int_malloc``), neighbours merge when freed, and the top of the heap moves up only when no piece
fits. What was touched once stays in memory.

With the thresholds that our own trainer is started with (``worker_launch``) that is all. A
framework is started without them: large blocks are mapped each for itself and given back when they
are freed, and so is the end of the heap when much of it is free. What is large grows with the
largest mapped block that was freed so far (``mallopt(3)``, dynamic mmap threshold).
"""

import bisect
import math

from bakeoff.predict.tape import Tape

_ALIGN = 64
"""torch asks for tensors at multiples of this."""

_HEADER = 16
_SPARE = _ALIGN + 32
"""By how much a free piece must be too large for a tensor: room to move up to such a multiple, and
for the smallest piece before it. A piece that a tensor of this size left is too small for another,
so that memory between tensors that stay is not used again (``_int_memalign``)."""

_PAGE = 4096
_MAPPED_FROM = 128 * 1024
"""Blocks from this size on are mapped each for itself, at first."""

_MAPPED_FROM_AT_MOST = 32 * 1024**2


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
        self.keeps_at_most: int | None = None
        """A free end of the heap above this size is given back; None: never."""

        self._count = 0
        self._last: _Piece | None = None
        self._keys: list[tuple[int, int]] = []
        self._free: dict[int, _Piece] = {}

    def take(self, num_bytes: int) -> _Piece:
        size = -(-(num_bytes + _HEADER) // _ALIGN) * _ALIGN
        at = bisect.bisect_left(self._keys, (size + _SPARE, -1))
        if at == len(self._keys):
            return self._grow(size)
        piece = self._free[self._keys[at][1]]
        self._remove(piece)
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
        limit = self.keeps_at_most
        if limit is not None and piece is self._last and piece.size > limit:
            self.top -= piece.size
            self._last = piece.before
            if piece.before is not None:
                piece.before.after = None
            return
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


def host_bytes(tape: Tape, *, gives_back: bool) -> int:
    """The most that is held at a time: mapped weights, large blocks and the heap.

    Args:
        tape: What the training takes and drops.
        gives_back: Whether malloc is as it comes, not as our own trainer is started.
    """
    heap = Heap()
    pieces: dict[int, _Piece] = {}
    alone: dict[int, int] = {}
    mapped_from: float = _MAPPED_FROM if gives_back else math.inf
    heap.keeps_at_most = _MAPPED_FROM if gives_back else None
    mapped = most = 0
    for block, size in tape.events:
        if tape.parts[block] == "weights":
            mapped += max(size, 0)
        elif block in alone:
            freed = alone.pop(block)
            mapped -= freed
            if mapped_from < freed <= _MAPPED_FROM_AT_MOST:
                mapped_from, heap.keeps_at_most = freed, 2 * freed
        elif size < 0:
            heap.drop(pieces.pop(block))
        elif size >= mapped_from:
            alone[block] = -(-(size + _HEADER) // _PAGE) * _PAGE
            mapped += alone[block]
        else:
            pieces[block] = heap.take(size)
        most = max(most, mapped + heap.top)
    return most
