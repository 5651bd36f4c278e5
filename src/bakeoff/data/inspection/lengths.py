"""How long the training texts are, and how many are longer than the recipe allows."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Literal

from bakeoff.base.errors import UserError
from bakeoff.data.inspection.kinds import make_finding
from bakeoff.data.inspection.texts import Placed, Tally
from bakeoff.data.inspection.tokens import TrainingTokenizer, estimated_tokens, num_cuttable
from bakeoff.data.prompt import PromptRenderer, Segment
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
        self._not_rendered = Tally()
        self._num_answers_too_long = 0

    @property
    def num_not_rendered(self) -> int:
        """Rows that the prompt's template fails on."""
        return self._not_rendered.count

    def add(self, rows: Sequence[Placed]) -> None:
        rendered: list[tuple[str, list[Segment]]] = []
        for placed in rows:
            try:
                rendered.append((placed.place, self._renderer.render(placed.row).segments))
            except UserError as error:
                self._not_rendered.add(placed.place, f"{error} ({error.hint})")
        counts = iter(self._counts([segments for _, segments in rendered]))
        for place, segments in rendered:
            parts = [next(counts) for _ in segments]
            self._add_length(place, parts, is_learned=bool(segments[0]["loss"]))

    def _add_length(self, place: str, parts: list[int], *, is_learned: bool) -> None:
        length = sum(parts) + (self._tokenizer.num_added if self._tokenizer else 1)
        self.lengths.append(length)
        excess = length - self._max_length
        if excess > 0:
            self._too_long.add(place, f"{length:,} {self._unit}")
            self._num_answers_too_long += excess > num_cuttable(parts[0], is_learned=is_learned)

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
        if self._not_rendered.count:
            yield make_finding(
                "template",
                f"rows that the prompt's template fails on: {self._not_rendered.count:,}",
                count=self._not_rendered.count,
                out_of=len(self.lengths) + self._not_rendered.count,
                split=self._split,
                examples=self._not_rendered.examples,
            )
        count = self._too_long.count
        if count:
            guess = "" if self._tokenizer else " (an estimate: no tokenizer is on disk)"
            refused = self._overlong == "error" and self._split != "test"
            yield make_finding(
                "too-long",
                f"rows longer than `train.max_length` ({self._max_length:,} tokens): {count:,}"
                f"{guess}; {self._fate()}",
                count=count,
                out_of=len(self.lengths),
                split=self._split,
                examples=self._too_long.examples,
                severity="error" if refused and self._tokenizer else None,
            )

    def _fate(self) -> str:
        """What becomes of rows that are too long, and whether answers lose their end."""
        num_hopeless = self._num_answers_too_long
        why = "the answer alone is longer, so that no cut through the question would save its end"
        if self._split == "test":
            return f"they are scored all the same; in {num_hopeless:,} of them {why}"
        if self._overlong == "truncate-prompt-left":
            return (
                f"the training would cut {self._too_long.count - num_hopeless:,} of them at the "
                f"beginning of the question, and drop {num_hopeless:,} in which {why}"
            )
        verb = "refuse" if self._overlong == "error" else "drop"
        return f"the training would {verb} them; in {num_hopeless:,} of them {why}"

    @property
    def _unit(self) -> Literal["tokens", "estimated tokens"]:
        return "estimated tokens" if self._tokenizer is None else "tokens"

    def _counts(self, rows: Sequence[Sequence[Segment]]) -> Iterator[int]:
        """Tokens of each segment, one row after the other."""
        texts = [str(segment["text"]) for segments in rows for segment in segments]
        if self._tokenizer is None:
            yield from map(estimated_tokens, texts)
            return
        pieces = iter(self._tokenizer.ids(texts))
        for segments in rows:
            for index in range(len(segments)):
                piece = next(pieces)
                yield len(piece) - (0 if index else self._tokenizer.num_at_start(piece))
