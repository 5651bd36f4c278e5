"""Questions of one split that share long runs of words with another split's.

After Brown et al. 2020 (arXiv:2005.14165, appendix C): a question counts as touched when it shares
one run of N words with the other side, where N is the 5th percentile of the questions' lengths in
words, at least 8 and at most 13; a run that stands in more than ten questions is a turn of phrase
and does not count. Every run is compared: nothing is sampled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakeoff.data.inspection.words import Batch, grams

if TYPE_CHECKING:
    import numpy as np

_SHORTEST, _LONGEST = 8, 13
_MAX_OWNERS = 10


@dataclass
class Match:
    """The row of another split with which a question shares most."""

    other_row: int
    num_shared: int
    share: float
    """Of the question's own runs."""


class GramTable:
    """The runs of words of one split's questions."""

    def __init__(self, batches: list[Batch]) -> None:
        import numpy as np  # noqa: PLC0415 - slow to import

        lengths = np.concatenate([np.empty(0, np.int64), *(batch.lengths for batch in batches)])
        percentile = int(np.percentile(lengths, 5)) if len(lengths) else _SHORTEST
        self.size = min(max(percentile, _SHORTEST), _LONGEST)
        """N: words in a run."""

        self._grams, self._owners, self._num_grams = _owned_grams(batches, self.size)

    def matches(self, batch: Batch, first_row: int, skip: Iterable[int]) -> "Matches":
        """What the table's questions share with the texts of ``batch``.

        Args:
            batch: Questions of another split.
            first_row: Number of its first text in that split.
            skip: Texts of the batch that are known to be the same question, counted from 0.
        """
        import numpy as np  # noqa: PLC0415 - slow to import

        hashes, text_of = grams(batch, self.size)
        low = np.searchsorted(self._grams, hashes, side="left")
        number = np.searchsorted(self._grams, hashes, side="right") - low
        hit = (number > 0) & ~np.isin(text_of, np.fromiter(skip, np.int64))
        low, number, text_of = low[hit], number[hit], text_of[hit]
        # One entry for each question that owns the run.
        within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        places = np.repeat(low, number) + within
        entries = np.unique(np.stack([np.repeat(text_of, number), places]), axis=1)
        pairs = np.stack([self._owners[entries[1]], entries[0]])
        pairs, counts = np.unique(pairs, axis=1, return_counts=True)
        return {
            (int(owner), int(text) + first_row): (int(count), int(self._num_grams[owner]))
            for (owner, text), count in zip(pairs.T, counts, strict=True)
        }


Matches = dict[tuple[int, int], tuple[int, int]]
"""Question and other row -> runs they share, runs of the question."""


def keep_best(best: dict[int, Match], found: Matches) -> None:
    """Remember for each question the row with which it shares most."""
    for (owner, row), (num_shared, num_grams) in found.items():
        if owner not in best or num_shared > best[owner].num_shared:
            best[owner] = Match(row, num_shared, num_shared / num_grams)


def _owned_grams(
    batches: list[Batch], size: int
) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    """Runs in order with the question of each, and how many different ones each question has."""
    import numpy as np  # noqa: PLC0415 - slow to import

    hashes = [np.empty(0, np.uint64)]
    owners = [np.empty(0, np.int64)]
    num_texts = 0
    for batch in batches:
        found, text_of = grams(batch, size)
        hashes.append(found)
        owners.append(text_of + num_texts)
        num_texts += len(batch.lengths)
    all_hashes, all_owners = np.concatenate(hashes), np.concatenate(owners)
    order = np.lexsort((all_owners, all_hashes))
    all_hashes, all_owners = all_hashes[order], all_owners[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (all_hashes[1:] != all_hashes[:-1]) | (all_owners[1:] != all_owners[:-1])
    all_hashes, all_owners = all_hashes[is_new], all_owners[is_new]
    num_grams = np.bincount(all_owners, minlength=num_texts)
    _, inverse, counts = np.unique(all_hashes, return_inverse=True, return_counts=True)
    is_rare = counts[inverse] <= _MAX_OWNERS if len(counts) else np.empty(0, dtype=bool)
    return all_hashes[is_rare], all_owners[is_rare], num_grams
