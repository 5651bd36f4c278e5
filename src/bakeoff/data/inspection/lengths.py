"""How long the training texts are, and how many are longer than the recipe allows."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Literal

from bakeoff.data.inspection.kinds import make_finding
from bakeoff.data.inspection.texts import Placed, Tally
from bakeoff.data.inspection.tokens import TrainingTokenizer, estimated_tokens
from bakeoff.data.prompt import PromptRenderer
from bakeoff.schema.data_check import Finding, Lengths


class LengthChecks:
    """Counts the tokens of one split's rows, rendered as the training renders them."""

    def __init__(
        self,
        split: str,
        renderer: PromptRenderer,
        tokenizer: TrainingTokenizer | None,
        *,
        max_length: int,
        overlong: str,
    ) -> None:
        self._split = split
        self._renderer = renderer
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._overlong = overlong
        self.lengths = array("L")
        self._too_long = Tally()
        self._num_answers_too_long = 0

    def add(self, rows: Sequence[Placed]) -> None:
        texts: list[str] = []
        ends: list[int] = []
        for placed in rows:
            texts += [str(part["text"]) for part in self._renderer.segments(placed.row)]
            ends.append(len(texts))
        counts = self._counts(texts)
        added = self._tokenizer.num_added if self._tokenizer else 1
        for placed, start, end in zip(rows, [0, *ends], ends, strict=False):
            length = sum(counts[start:end]) + added
            self.lengths.append(length)
            if length > self._max_length:
                self._too_long.add(placed.place, f"{length:,} {self._unit}")
                self._num_answers_too_long += counts[end - 1] + added > self._max_length

    def summary(self) -> Lengths | None:
        """None for a split without rows."""
        if not self.lengths:
            return None
        ordered = sorted(self.lengths)
        return Lengths(
            unit=self._unit,
            median=ordered[len(ordered) // 2],
            percentile_95=ordered[len(ordered) * 95 // 100],
            longest=ordered[-1],
        )

    def findings(self) -> Iterator[Finding]:
        count = self._too_long.count
        if not count:
            return
        guess = "" if self._tokenizer else " (an estimate: no tokenizer is on disk)"
        refused = self._overlong == "error" and self._split != "test"
        fate = "the training would refuse them" if refused else "the training would drop them"
        if self._split == "test":
            fate = "they are scored all the same"
        yield make_finding(
            "too-long",
            f"rows longer than `train.max_length` ({self._max_length:,} tokens): {count:,}{guess}; "
            f"{fate}; in {self._num_answers_too_long:,} of them the answer alone is longer, so "
            "that no cut through the question would save its end",
            count=count,
            out_of=len(self.lengths),
            split=self._split,
            examples=self._too_long.examples,
            severity="error" if refused and self._tokenizer else None,
        )

    @property
    def _unit(self) -> Literal["tokens", "estimated tokens"]:
        return "estimated tokens" if self._tokenizer is None else "tokens"

    def _counts(self, texts: list[str]) -> list[int]:
        if self._tokenizer is None:
            return [estimated_tokens(text) for text in texts]
        return [len(ids) for ids in self._tokenizer.ids(texts)]
