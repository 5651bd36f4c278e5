"""Questions that stand on two sides of a split, where they would make a score meaningless."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.base.errors import UserError
from bakeoff.data.spool import Spool

_NUM_SHOWN = 3
_SHOWN_CHARACTERS = 60


def question_key(text: str) -> int:
    """Equal for questions that differ in case, white space or width (NFKC) only.

    64 bits of BLAKE2b: among a million questions the odds of two different ones sharing a key are
    about 3e-8.
    """
    # Of ASCII neither normal form nor folded case is another, and both take time.
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    plain = " ".join(folded.split())
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8"), digest_size=8).digest(), "big")


class Pair(NamedTuple):
    """Places of the same question."""

    test_place: str
    other_place: str
    prompt: str


@dataclass(frozen=True)
class Overlap:
    num_rows: int
    """Test rows whose question stands elsewhere too."""

    pairs: tuple[Pair, ...]
    """The first few, in the order of the test split."""


def find_overlap(test: Spool, others: Iterable[Spool]) -> Overlap:
    """Rows of ``test`` whose question stands in one of ``others``."""
    wanted = set(test.keys)
    found: dict[int, tuple[Spool, int]] = {}
    for other in others:
        for index, key in enumerate(other.keys):
            if key in wanted:
                found.setdefault(key, (other, index))
    rows = [index for index, key in enumerate(test.keys) if key in found]
    pairs = []
    for index in rows[:_NUM_SHOWN]:
        other, other_index = found[test.keys[index]]
        pairs.append(Pair(test.place(index), other.place(other_index), test.row(index).prompt))
    return Overlap(len(rows), tuple(pairs))


def overlap_error(overlap: Overlap, num_test: int) -> UserError:
    lines = [
        f"  {pair.test_place} = {pair.other_place}: {_shortened(pair.prompt)}"
        for pair in overlap.pairs
    ]
    more = overlap.num_rows - len(lines)
    if more:
        lines.append(f"  and {more} more")
    return UserError(
        f"{overlap.num_rows} of {num_test} test questions stand in the training rows too, so that "
        "the score would be worth nothing:\n" + "\n".join(lines),
        hint="take them out of one side, or set `data.allow_overlap: true` to go on; the report "
        "will then say so",
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."
