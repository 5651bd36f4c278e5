"""Folds an adapter into the weights, and tells whether the model still says the same."""

from dataclasses import dataclass
from typing import Any

import torch

_TEXTS = (
    "Question: Tom has 12 apples and buys 7 more. How many apples has he now?\nAnswer: 12 + 7 =",
    "问题：小明有12个苹果，又买了7个。他现在有几个苹果？\n答案：",
)
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Of the relative difference of logits: sums of base and update are rounded to the weights' format
once when merged, and never when they stay apart."""


@dataclass(frozen=True)
class MergeFacts:
    """The same texts before and after merging."""

    relative_difference: float
    """|merged - apart| / |apart| over all logits."""

    share_of_equal_choices: float
    """Of the positions, those at which both would choose the same next token."""

    tolerance: float

    @property
    def is_same(self) -> bool:
        return self.relative_difference <= self.tolerance


@torch.no_grad()
def merge(model: Any, tokenizer: Any) -> tuple[Any, MergeFacts]:
    """The model with its PEFT adapter folded in; ``model`` itself is of no use afterwards."""
    model.eval()
    apart = _logits(model, tokenizer)
    merged = model.merge_and_unload()
    together = _logits(merged, tokenizer)
    equal = apart.argmax(-1) == together.argmax(-1)
    return merged, MergeFacts(
        relative_difference=float((together - apart).norm() / apart.norm()),
        share_of_equal_choices=float(equal.float().mean()),
        tolerance=_TOLERANCES[merged.dtype],
    )


def _logits(model: Any, tokenizer: Any) -> torch.Tensor:
    """(positions of all texts, vocabulary), fp32, on the CPU."""
    found = []
    for text in _TEXTS:
        ids = torch.tensor([tokenizer(text)["input_ids"]], device=model.device)
        found.append(model(input_ids=ids).logits[0].float().cpu())
    return torch.cat(found)
