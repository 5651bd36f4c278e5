"""Texts as arrays of word hashes, on which duplicates and overlaps are found a batch at a time.

A word is a run of letters and digits, or one Chinese or Japanese character; case, width and
punctuation make no difference. Hashes are the same on every machine and in every process.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_ONE_BY_ONE = "\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[^\W_{_ONE_BY_ONE}]+|[{_ONE_BY_ONE}]")
_MAX_CACHED_WORDS = 400_000


class Batch(NamedTuple):
    """Word hashes of several texts, one after the other."""

    words: "np.ndarray"
    """uint64, [number of words]."""

    lengths: "np.ndarray"
    """int64, [number of texts]: how many words each has."""


def words_of(text: str) -> list[str]:
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(plain)


class WordHasher:
    """Hashes words to 64 bits; remembers those it met."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def batch(self, texts: Sequence[str]) -> Batch:
        import numpy as np  # noqa: PLC0415 - slow to import

        if len(self._known) > _MAX_CACHED_WORDS:
            self._known.clear()
        found = [words_of(text) for text in texts]
        hashes = [self._hash(word) for words in found for word in words]
        lengths = np.array([len(words) for words in found], dtype=np.int64)
        return Batch(np.array(hashes, dtype=np.uint64), lengths)

    def _hash(self, word: str) -> int:
        value = self._known.get(word)
        if value is None:
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            value = self._known[word] = int.from_bytes(digest, "big")
        return value


def grams(batch: Batch, size: int) -> tuple["np.ndarray", "np.ndarray"]:
    """Hashes of all runs of ``size`` words, and the number of the text each is from.

    Texts with fewer words have none. Both arrays are as long as there are runs, in order.
    """
    import numpy as np  # noqa: PLC0415 - slow to import

    words, lengths = batch
    text_of = np.repeat(np.arange(len(lengths)), lengths)
    if len(words) < size:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    num_runs = len(words) - size + 1
    total = np.zeros(num_runs, dtype=np.uint64)
    for offset, factor in enumerate(factors(size, "gram")):
        total += words[offset : offset + num_runs] * factor
    inside = text_of[:num_runs] == text_of[size - 1 :]
    return total[inside], text_of[:num_runs][inside]


def factors(number: int, purpose: str) -> "np.ndarray":
    """Odd 64-bit numbers, the same every time."""
    import numpy as np  # noqa: PLC0415 - slow to import

    digests = [
        hashlib.blake2b(f"{purpose} {index}".encode(), digest_size=8).digest()
        for index in range(number)
    ]
    return np.array([int.from_bytes(digest, "big") | 1 for digest in digests], dtype=np.uint64)
