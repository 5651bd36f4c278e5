"""Guesses of the next tokens of a text, from what the text says already.

A model that is asked for a row of guessed tokens at once tells of each whether it would have said
it, so that several tokens come of one pass and none is another than one by one. (Leviathan et al.
2023, arXiv:2211.17192, of a small model's guesses; Yang et al. 2023, arXiv:2304.04487, of copied
ones.) Answers copy much: numbers of the question, words of worked examples, their own last line.
"""

from collections.abc import Sequence

MOST_GUESSED = 8
"""Tokens at a time."""

_SIZES = (4, 3, 2)
"""Of the beginnings that are looked up, the most telling first. A single token says too little."""


class Draft:
    """The text of one row, and where each of its short sequences was followed by what."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._token_ids: list[int] = []
        self._next_places: dict[tuple[int, ...], int] = {}
        self._length = 2
        for token in token_ids:
            self.add(token)

    def add(self, token: int) -> None:
        """The text goes on."""
        place = len(self._token_ids)
        for size in _SIZES:
            if size <= place:
                self._next_places[tuple(self._token_ids[place - size :])] = place
        self._token_ids.append(token)

    def guess(self, most: int) -> list[int]:
        """The tokens that followed when the text last said what it ends with, at most so many."""
        for size in _SIZES:
            place = self._next_places.get(tuple(self._token_ids[-size:]))
            if place is not None:
                number = min(most, self._length)
                # Of a text that repeats itself the guess goes on into itself.
                period = len(self._token_ids) - place
                return [self._token_ids[place + i % period] for i in range(number)]
        return []

    def learn(self, num_guessed: int, num_right: int) -> None:
        """Guess more where guesses come true, and less where they do not."""
        if num_guessed and num_right == num_guessed:
            self._length = min(2 * self._length, MOST_GUESSED)
        elif num_right == 0:
            self._length = max(self._length // 2, 1)
