"""When one of several choices is the better one in everything that counts."""

from collections.abc import Sequence


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether ``one`` is nowhere worse than ``other``, and not the same; lower is better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
