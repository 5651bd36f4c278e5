"""torch's caching allocator on CUDA, replayed: how much it holds for what tensors take.

Follows ``c10/cuda/CUDACachingAllocator.cpp``: sizes are rounded to 512 bytes; requests up to 1 MiB
come from segments of 2 MiB, others up to 10 MiB from segments of 20 MiB, larger ones get a segment
of their own, rounded to 2 MiB. The smallest free block that is large enough is taken and split;
neighbours merge when freed. Free segments go back to the driver only when it has no more.
"""

import bisect
from dataclasses import dataclass

from bakeoff.predict.tape import Tape

_MIB = 1024**2
_ROUND = 512
_SMALL = _MIB
_SMALL_SEGMENT = 2 * _MIB
_MEDIUM = 10 * _MIB
_MEDIUM_SEGMENT = 20 * _MIB
_LARGE_ROUND = 2 * _MIB


class _Block:
    """Part of a segment; knows its neighbours there."""

    __slots__ = ("after", "before", "is_free", "is_small", "number", "size")

    def __init__(self, number: int, size: int, *, is_small: bool) -> None:
        self.number = number
        self.size = size
        self.is_small = is_small
        self.is_free = False
        self.before: _Block | None = None
        self.after: _Block | None = None


@dataclass(frozen=True)
class Holdings:
    reserved_bytes: int
    """The most that was held."""

    does_fit: bool
    """Whether every request could be served within the limit."""


class _Pool:
    """Free blocks in the order of their size."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int]] = []
        self._blocks: dict[int, _Block] = {}

    def add(self, block: _Block) -> None:
        bisect.insort(self._keys, (block.size, block.number))
        self._blocks[block.number] = block
        block.is_free = True

    def remove(self, block: _Block) -> None:
        del self._keys[bisect.bisect_left(self._keys, (block.size, block.number))]
        del self._blocks[block.number]
        block.is_free = False

    def best(self, size: int) -> _Block | None:
        at = bisect.bisect_left(self._keys, (size, -1))
        return self._blocks[self._keys[at][1]] if at < len(self._keys) else None

    def whole_segments(self) -> list[_Block]:
        return [b for b in self._blocks.values() if b.before is None and b.after is None]


class CachingAllocator:
    """One device."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit = limit_bytes
        self._pools = {True: _Pool(), False: _Pool()}
        self._count = 0
        self.reserved = self.peak = 0
        self.does_fit = True

    def take(self, num_bytes: int) -> _Block:
        size = max(_ROUND, -(-num_bytes // _ROUND) * _ROUND)
        is_small = size <= _SMALL
        pool = self._pools[is_small]
        block = pool.best(size)
        if block is None:
            block = self._new_segment(size, is_small=is_small)
        else:
            pool.remove(block)
        rest = block.size - size
        if rest >= _ROUND if is_small else rest > _SMALL:
            self._split(block, size)
        return block

    def drop(self, block: _Block) -> None:
        pool = self._pools[block.is_small]
        before, after = block.before, block.after
        if before is not None and before.is_free:
            pool.remove(before)
            block.size += before.size
            block.before = before.before
            if block.before is not None:
                block.before.after = block
        if after is not None and after.is_free:
            pool.remove(after)
            block.size += after.size
            block.after = after.after
            if block.after is not None:
                block.after.before = block
        pool.add(block)

    def _split(self, block: _Block, size: int) -> None:
        rest = self._block(block.size - size, is_small=block.is_small)
        block.size = size
        rest.before, rest.after = block, block.after
        if block.after is not None:
            block.after.before = rest
        block.after = rest
        self._pools[block.is_small].add(rest)

    def _new_segment(self, size: int, *, is_small: bool) -> _Block:
        if is_small:
            segment = _SMALL_SEGMENT
        elif size < _MEDIUM:
            segment = _MEDIUM_SEGMENT
        else:
            segment = -(-size // _LARGE_ROUND) * _LARGE_ROUND
        if self._limit is not None and self.reserved + segment > self._limit:
            self._give_back()
            self.does_fit = self.does_fit and self.reserved + segment <= self._limit
        self.reserved += segment
        self.peak = max(self.peak, self.reserved)
        return self._block(segment, is_small=is_small)

    def _give_back(self) -> None:
        for pool in self._pools.values():
            for block in pool.whole_segments():
                pool.remove(block)
                self.reserved -= block.size

    def _block(self, size: int, *, is_small: bool) -> _Block:
        self._count += 1
        return _Block(self._count, size, is_small=is_small)


def replay(tape: Tape, *, limit_bytes: int | None = None) -> Holdings:
    """What the allocator holds at most while the tape runs.

    Args:
        tape: Allocations in order.
        limit_bytes: What the device has for it; None: no end.
    """
    allocator = CachingAllocator(limit_bytes)
    blocks: dict[int, _Block] = {}
    for number, size in tape.events:
        if size < 0:
            allocator.drop(blocks.pop(number))
        else:
            blocks[number] = allocator.take(size)
    return Holdings(allocator.peak, allocator.does_fit)
