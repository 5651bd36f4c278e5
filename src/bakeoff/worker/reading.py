"""Forward passes over texts, some side by side on a CPU."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch

from bakeoff.worker.answer_attention import AnswerAttention, Segment
from bakeoff.worker.lanes import Lanes, count_lanes
from bakeoff.worker.layout import num_common
from bakeoff.worker.modelling import accepts

TOKENS_PER_READING = 4096
"""Of the passes that run at a time, at most; a longer text is read alone."""

_SHORTEST_PREFIX = 16
"""Sharing fewer tokens would cost more than reading them again."""


@dataclass
class Line:
    """Texts of one forward pass, one after the other."""

    token_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    """Places whose logits are wanted."""

    def add(
        self,
        token_ids: Sequence[int],
        *,
        position: int,
        parent: slice | None = None,
        slot: int | None = None,
    ) -> slice:
        """Another segment, whose first token has that position in its text; where it stands."""
        place = slice(len(self.token_ids), len(self.token_ids) + len(token_ids))
        if token_ids:
            self.token_ids += token_ids
            self.positions += range(position, position + len(token_ids))
            self.segments.append(Segment(place, parent=parent, slot=slot))
        return place


class Reader:
    """Reads lines with a model that has the attention of ``bakeoff.worker.answer_attention``."""

    def __init__(self, model: Any, attention: AnswerAttention) -> None:
        self._model = model
        self._attention = attention
        self._keeps_logits = accepts(model, "logits_to_keep")
        self.num_lanes = count_lanes(model.device, model.dtype)
        """Lines that are read side by side."""

        self._lanes = Lanes(self.num_lanes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lanes.close()

    def read(self, lines: Sequence[Line]) -> list[torch.Tensor]:
        """The logits at the kept places of each line, (kept, vocabulary)."""
        if len(lines) == 1:
            return [self._read(lines[0])]  # by all cores
        return self._lanes.each(self._read, lines)

    def read_prefix(self, token_ids: list[int]) -> None:
        """Keep the keys and values of what all later texts begin with."""
        line = Line(kept=[0])
        line.add(token_ids, position=0)
        self._attention.set_segments(line.segments, is_prefix=True)
        self._logits(line)

    def _read(self, line: Line) -> torch.Tensor:
        self._attention.set_segments(line.segments)
        return self._logits(line)

    def _logits(self, line: Line) -> torch.Tensor:
        return line_logits(
            self._model, line.token_ids, line.positions, line.kept, keeps=self._keeps_logits
        )


def common_prefix(texts: list[list[int]]) -> list[int]:
    """The tokens that all texts begin with, each keeping one of its own; none if they are few."""
    length = min(num_common(texts), min(map(len, texts)) - 1)
    return texts[0][:length] if length >= _SHORTEST_PREFIX and len(texts) > 1 else []


@torch.inference_mode()
def line_logits(
    model: Any, token_ids: list[int], positions: list[int], kept: list[int] | None, *, keeps: bool
) -> torch.Tensor:
    """One forward pass over one line of tokens.

    Args:
        model: with the attention of ``bakeoff.worker.answer_attention``.
        token_ids: of the line.
        positions: of each token in its own text.
        kept: places whose logits are wanted; None: all.
        keeps: whether the model can compute the logits of some places only.

    Returns:
        (kept, vocabulary), in the model's format.
    """
    device = model.device
    places = None if kept is None else torch.tensor(kept, device=device)
    options = {"logits_to_keep": places} if places is not None and keeps else {}
    logits = model(
        input_ids=torch.tensor([token_ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        use_cache=False,
        **options,
    ).logits[0]
    return logits if places is None or options else logits[places]
