"""Where packed rows stand in their line.

The tokens that all rows begin with (a system prompt, an instruction) may stand there once, before
the rest of each row. In a causal model they read the same in every row, so that the result is that
of whole rows; the rows' gradients by them add up.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Layout(NamedTuple):
    """Of one line of packed rows."""

    row_lengths: tuple[int, ...]
    """Tokens of each row, those it shares among them."""

    num_shared: int = 0
    """Tokens that all rows begin with, kept once at the start of the line; fewer than any row."""

    @property
    def starts(self) -> list[int]:
        """The column where each row would start if it were whole: token i stands i further."""
        starts = [0]
        for length in self.row_lengths[:-1]:
            starts.append(starts[-1] + length - self.num_shared)
        return starts

    def stretches(self) -> Iterator[tuple[int, slice]]:
        """The columns that see only each other, with how many shared ones they see besides."""
        if self.num_shared:
            yield 0, slice(0, self.num_shared)
        for start, length in zip(self.starts, self.row_lengths, strict=True):
            yield self.num_shared, slice(start + self.num_shared, start + length)


def num_common(texts: Sequence[list[int]]) -> int:
    """How many tokens all texts begin with."""
    first, last = min(texts), max(texts)  # in order of their tokens: the two that differ soonest
    places = enumerate(zip(first, last, strict=False))
    return next((i for i, (a, b) in places if a != b), min(len(first), len(last)))
