"""Near-duplicates: MinHash (Broder 1997) with banding, candidates confirmed by comparing the texts.

Two texts count as near-duplicates when their sets of three-word runs have a Jaccard similarity of
at least 0.8, the threshold of Lee et al. 2022 (arXiv:2107.06499). With 18 bands of 6 hashes each
(Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4) a pair at 0.8 is missed with
odds of 1 in 200, one at 0.9 with less than 1 in 10,000.

Accepted trade-offs: texts under eight words are left out, for there one other word is another
question; where many texts share a band, each is compared with the first eight of them and the eight
before it (two of each among more than 200), so that a million rows of one template end in time.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from bakeoff.data.inspection.words import Batch, factors, grams, words_of

if TYPE_CHECKING:
    import numpy as np

SIMILARITY = 0.8
MIN_WORDS = 8
_SHINGLE_WORDS = 3
_NUM_BANDS = 18
_BAND_HASHES = 6
_NUM_COMPARED, _NUM_COMPARED_OF_MANY = 8, 2
_MANY = 200
_CACHED_SETS = 4_096


def band_keys(batch: Batch) -> "np.ndarray":
    """Keys of shape [number of texts, 18], uint64: texts that are alike share some column's key.

    Texts with fewer than three words all get the same keys and must be left out.
    """
    import numpy as np  # noqa: PLC0415 - slow to import

    shingles, text_of = grams(batch, _SHINGLE_WORDS)
    keys = np.zeros((len(batch.lengths), _NUM_BANDS), dtype=np.uint64)
    if not len(shingles):
        return keys
    present, starts = np.unique(text_of, return_index=True)
    shift = np.uint64(32)
    hash_factors = factors(_NUM_BANDS * _BAND_HASHES, "minhash")
    for index, factor in enumerate(hash_factors):
        smallest = np.minimum.reduceat((shingles * factor) >> shift, starts)
        # The position of a hash inside its band counts, hence another factor for each.
        keys[present, index // _BAND_HASHES] += smallest * hash_factors[-1 - index]
    return keys


def candidate_pairs(keys: "np.ndarray") -> Iterator[tuple[int, int]]:
    """Pairs of rows of ``keys`` that share a band; a pair may come more than once."""
    import numpy as np  # noqa: PLC0415 - slow to import

    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band], kind="stable")
        column = keys[order, band]
        borders = np.flatnonzero(column[1:] != column[:-1]) + 1
        for bucket in _buckets(order, borders):
            number = _NUM_COMPARED if len(bucket) <= _MANY else _NUM_COMPARED_OF_MANY
            for place, row in enumerate(bucket):
                for other in bucket[: min(number, place)]:
                    yield other, row
                for other in bucket[max(number, place - number) : place]:
                    yield other, row


def _buckets(order: "np.ndarray", borders: "np.ndarray") -> Iterator[list[int]]:
    import numpy as np  # noqa: PLC0415 - slow to import

    starts = np.concatenate(([0], borders))
    ends = np.concatenate((borders, [len(order)]))
    for index in np.flatnonzero(ends - starts > 1):
        yield order[starts[index] : ends[index]].tolist()


class Similarity:
    """Jaccard similarity of texts that are reached by number."""

    def __init__(self, text: Callable[[int], str]) -> None:
        self._shingles = lru_cache(maxsize=_CACHED_SETS)(lambda index: _shingles(text(index)))

    def __call__(self, one: int, other: int) -> float:
        left, right = self._shingles(one), self._shingles(other)
        common = len(left & right)
        return common / (len(left) + len(right) - common)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = words_of(text)
    return frozenset(zip(*(words[offset:] for offset in range(_SHINGLE_WORDS)), strict=False))


class Clusters:
    """Union-find: which rows belong together."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def of(self, row: int) -> int:
        while self._parents[row] != row:
            self._parents[row] = self._parents[self._parents[row]]
            row = self._parents[row]
        return row

    def join(self, one: int, other: int) -> None:
        """The smaller number stands for both."""
        low, high = sorted((self.of(one), self.of(other)))
        self._parents[high] = low
