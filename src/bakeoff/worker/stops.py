"""Where an answer ends: at an end-of-sequence token or a stop string."""

from collections.abc import Sequence
from typing import Any


class Stops:
    """Looks at the last few tokens of answers only, so that its cost does not grow with them."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], *, eos_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._stops = [stop for stop in stops if stop]
        self._eos_ids = eos_ids
        # A stop string may come in more tokens than the tokenizer would make of it, but in no more
        # than one a byte.
        self.window = max((len(stop.encode("utf-8")) for stop in self._stops), default=1) + 1

    def reason(self, answer: Sequence[int]) -> str:
        """Of an answer that has ended: ``end_token`` or ``stop_string``."""
        return "end_token" if answer[-1] in self._eos_ids else "stop_string"

    def ended(self, tails: Sequence[Sequence[int]]) -> list[bool]:
        """Whether each answer ends with its newest token.

        Args:
            tails: of each answer at least the last ``window`` tokens, or all that it has.
        """
        texts = self._tokenizer.batch_decode([list(tail[-self.window :]) for tail in tails])
        return [
            tail[-1] in self._eos_ids or any(stop in text for stop in self._stops)
            for tail, text in zip(tails, texts, strict=True)
        ]
