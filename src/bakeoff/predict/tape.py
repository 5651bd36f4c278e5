"""What a training step allocates and frees, in order: the one form that both sources have.

The analytic model writes a tape from formulas, the trace from the real code; peak, parts and the
allocator's holdings are read off either in the same way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tape:
    """Blocks of memory by number. Sizes in bytes."""

    events: list[tuple[int, int]] = field(default_factory=list)
    """(block, size) when it is allocated, (block, -1) when it is freed."""

    parts: list[str] = field(default_factory=list)
    """By block: what it is for (``schema.prediction.PartName``)."""

    moments: list[tuple[int, str]] = field(default_factory=list)
    """(index into ``events``, what begins there)."""

    def take(self, num_bytes: float, part: str) -> int:
        """Allocate; the number of the block."""
        self.parts.append(part)
        block = len(self.parts) - 1
        self.events.append((block, max(int(num_bytes), 1)))
        return block

    def drop(self, *blocks: int) -> None:
        self.events.extend((block, -1) for block in blocks)

    def brief(self, num_bytes: float, part: str) -> None:
        """Allocate and free at once."""
        self.drop(self.take(num_bytes, part))

    def begins(self, moment: str) -> None:
        self.moments.append((len(self.events), moment))


@dataclass(frozen=True)
class Peak:
    num_bytes: int
    parts: dict[str, int]
    """Largest first."""

    moment: str


def peak_of(tape: Tape) -> Peak:
    """The largest sum of live blocks, what it consists of, and when it is reached."""
    at = _peak_index(tape.events)
    sizes: dict[int, int] = {}
    for block, size in tape.events[: at + 1]:
        if size < 0:
            del sizes[block]
        else:
            sizes[block] = size
    parts: dict[str, int] = {}
    for block, size in sizes.items():
        parts[tape.parts[block]] = parts.get(tape.parts[block], 0) + size
    ordered = dict(sorted(parts.items(), key=lambda item: -item[1]))
    moment = next((name for index, name in reversed(tape.moments) if index <= at), "start")
    return Peak(sum(parts.values()), ordered, moment)


def _peak_index(events: Iterable[tuple[int, int]]) -> int:
    sizes: dict[int, int] = {}
    live = peak = at = 0
    for index, (block, size) in enumerate(events):
        if size < 0:
            live -= sizes.pop(block)
            continue
        sizes[block] = size
        live += size
        if live > peak:
            peak, at = live, index
    return at
