"""Log-probabilities of continuations, each context read once for all that continue it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bakeoff.worker.answer_attention import AnswerAttention, KeyValues
from bakeoff.worker.reading import TOKENS_PER_READING, Line, Reader, common_prefix


@dataclass(frozen=True)
class Continuation:
    context: tuple[int, ...]
    """At least one token."""

    token_ids: tuple[int, ...]
    """At least one token; its log-probability is asked."""


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
    results: list[tuple[float, bool]] = []
    with Reader(model, attention) as reader:
        if prefix:
            reader.read_prefix(prefix)
        groups = _groups(continuations, TOKENS_PER_READING // reader.num_lanes)
        for first in range(0, len(groups), reader.num_lanes):
            some = groups[first : first + reader.num_lanes]
            lines = [_line(families, start=len(prefix)) for families in some]
            for families, logits in zip(some, reader.read(lines), strict=True):
                results += _scores(families, logits.log_softmax(-1, dtype=dtype))
    return results


def _groups(
    continuations: Sequence[Continuation], most_tokens: int
) -> list[list[list[Continuation]]]:
    """Continuations of one context together, and as many contexts as one forward pass takes."""
    groups: list[list[list[Continuation]]] = []
    num_tokens = 0
    for _, same in itertools.groupby(continuations, key=lambda one: one.context):
        family = list(same)
        size = len(family[0].context) + sum(len(one.token_ids) for one in family)
        if not groups or num_tokens + size > most_tokens:
            groups.append([])
            num_tokens = 0
        groups[-1].append(family)
        num_tokens += size
    return groups


def _line(families: list[list[Continuation]], *, start: int) -> Line:
    """Each context from that token on, and behind it what continues it."""
    line = Line()
    for family in families:
        context = family[0].context
        read = line.add(context[start:], position=start)
        line.kept.append(read.stop - 1)
        for one in family:
            # The last token of the context says what comes first; the last of the continuation
            # would say what follows it, which nobody asks.
            rest = line.add(one.token_ids[:-1], position=len(context), parent=read)
            line.kept += range(rest.start, rest.stop)
    return line


def _scores(
    families: list[list[Continuation]], log_probs: torch.Tensor
) -> list[tuple[float, bool]]:
    """Of each continuation; ``log_probs`` (kept places of their line, vocabulary)."""
    found, done = [], 0
    for family in families:
        first = log_probs[done : done + 1]
        done += 1
        for one in family:
            number = len(one.token_ids) - 1
            rows = torch.cat([first, log_probs[done : done + number]])
            done += number
            wanted = torch.tensor(one.token_ids, device=rows.device)
            chosen = rows.gather(1, wanted[:, None]).sum()
            found.append((float(chosen), bool((rows.argmax(-1) == wanted).all())))
    return found
