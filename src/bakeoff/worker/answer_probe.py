"""Holds the answering of questions to the model as it is, on a few tokens, before it is used.

Whatever else mixes tokens in a model (convolution, recurrence, an unknown attention) shows here.
"""

from collections.abc import Sequence
from typing import Any

import torch

from bakeoff.worker.answer_attention import AnswerAttention, KeyValues
from bakeoff.worker.modelling import TOLERANCES, accepts
from bakeoff.worker.reading import Line, line_logits

_NUM_TOKENS = 24
Expected = list[tuple[list[int], torch.Tensor]]
"""Texts, and all their logits: (T, vocabulary)."""


@torch.inference_mode()
def expected_logits(model: Any, texts: Sequence[list[int]]) -> Expected:
    """Beginnings of texts, each with other tokens than its neighbours, read one by one.

    Raises:
        NotImplementedError: the model's attention cannot be replaced.
    """
    if not getattr(model, "_supports_attention_backend", False):
        raise NotImplementedError("the architecture does not let its attention be replaced")
    if not accepts(model, "position_ids"):
        raise NotImplementedError("the architecture takes no positions")
    found = []
    for number, text in enumerate((list(texts) * 3)[:3]):
        tokens = (text * _NUM_TOKENS)[: _NUM_TOKENS - number]
        tokens = tokens[::-1] if number % 2 else tokens
        ids = torch.tensor([tokens], device=model.device)
        found.append((tokens, model(input_ids=ids, use_cache=False).logits[0].float()))
    return found


@torch.inference_mode()
def require_same_logits(model: Any, attention: AnswerAttention, expected: Expected) -> None:
    """Read all but the last token of each text in one line, then the last ones as next tokens.

    Raises:
        NotImplementedError: the logits are others.
    """
    attention.kept = KeyValues(len(expected), _NUM_TOKENS)
    line = Line()
    places = [
        line.add(tokens[:-1], position=0, slot=slot) for slot, (tokens, _) in enumerate(expected)
    ]
    attention.set_segments(line.segments)
    read = line_logits(model, line.token_ids, line.positions, None, keeps=False).float()
    lengths = [len(tokens) - 1 for tokens, _ in expected]
    attention.set_next_tokens(lengths, dtype=model.dtype, device=model.device)
    last = [tokens[-1] for tokens, _ in expected]
    answered = line_logits(model, last, lengths, None, keeps=False).float()
    for slot, (_, logits) in enumerate(expected):
        found = torch.cat([read[places[slot]], answered[slot, None]])
        difference = float((found - logits).norm() / logits.norm())
        if not difference <= TOLERANCES[model.dtype]:
            raise NotImplementedError(f"the logits would differ by {difference:.1%}")
