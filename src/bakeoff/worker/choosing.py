"""Log-probabilities of continuations, each context read once for all that continue it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from bakeoff.worker.answer_attention import AnswerAttention, KeyValues, Segment
from bakeoff.worker.answering import (
    TOKENS_PER_READING,
    common_prefix,
    line_logits,
    read_prefix,
)
from bakeoff.worker.modelling import accepts


@dataclass(frozen=True)
class Continuation:
    context: tuple[int, ...]
    """At least one token."""

    token_ids: tuple[int, ...]
    """At least one token; its log-probability is asked."""


@dataclass
class _Line:
    """Contexts and continuations of one forward pass."""

    token_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def add(self, token_ids: Sequence[int], *, position: int, parent: slice | None = None) -> slice:
        place = slice(len(self.token_ids), len(self.token_ids) + len(token_ids))
        if token_ids:
            self.token_ids += token_ids
            self.positions += range(position, position + len(token_ids))
            self.segments.append(Segment(place, parent=parent))
        return place


@torch.inference_mode()
def log_probabilities(
    model: Any,
    attention: AnswerAttention,
    continuations: Sequence[Continuation],
    *,
    dtype: torch.dtype | None,
) -> list[tuple[float, bool]]:
    """Of each continuation its log-probability, and whether it is what greedy decoding says.

    Args:
        model: with the attention of ``bakeoff.worker.answer_attention``.
        attention: that attention.
        continuations: neighbours with the same context share its reading.
        dtype: in which the softmax is computed; None: that of the logits.
    """
    attention.kept = KeyValues(0, 0)
    prefix = common_prefix([list(one.context) for one in continuations])
    if prefix:
        read_prefix(model, attention, prefix)
    results: list[tuple[float, bool]] = []
    for group in _groups(continuations):
        results += _score(model, attention, group, start=len(prefix), dtype=dtype)
    return results


def _groups(continuations: Sequence[Continuation]) -> list[list[list[Continuation]]]:
    """Continuations of one context together, and as many contexts as one forward pass takes."""
    groups: list[list[list[Continuation]]] = []
    num_tokens = 0
    for _, same in itertools.groupby(continuations, key=lambda one: one.context):
        family = list(same)
        size = len(family[0].context) + sum(len(one.token_ids) for one in family)
        if not groups or num_tokens + size > TOKENS_PER_READING:
            groups.append([])
            num_tokens = 0
        groups[-1].append(family)
        num_tokens += size
    return groups


def _score(
    model: Any,
    attention: AnswerAttention,
    families: list[list[Continuation]],
    *,
    start: int,
    dtype: torch.dtype | None,
) -> list[tuple[float, bool]]:
    line = _Line()
    kept: list[int] = []
    for family in families:
        context = family[0].context
        read = line.add(context[start:], position=start)
        for one in family:
            # The last token of the context says what comes first; the last of the continuation
            # would say what follows it, which nobody asks.
            rest = line.add(one.token_ids[:-1], position=len(context), parent=read)
            kept += [read.stop - 1, *range(rest.start, rest.stop)]
    attention.set_segments(line.segments)
    # The last token of a context stands in `kept` once for each that continues it.
    places, of_kept = torch.tensor(kept).unique(return_inverse=True)
    logits = line_logits(
        model,
        line.token_ids,
        line.positions,
        places.tolist(),
        keeps=accepts(model, "logits_to_keep"),
    )
    log_probs = logits.log_softmax(-1, dtype=dtype)
    found, done = [], 0
    for one in itertools.chain.from_iterable(families):
        rows = log_probs[of_kept[done : done + len(one.token_ids)].to(log_probs.device)]
        wanted = torch.tensor(one.token_ids, device=rows.device)
        chosen = rows.gather(1, wanted[:, None]).sum()
        found.append((float(chosen), bool((rows.argmax(-1) == wanted).all())))
        done += len(one.token_ids)
    return found
