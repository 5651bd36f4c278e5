"""Attention for answering questions: packed segments and kept keys, nothing padded.

Registered with transformers under a name, it replaces the attention of every layer of any model
that lets it be replaced, and keeps keys and values itself; the model runs as if it had no cache.
What a forward pass holds is set before it, as an attribute (see ``bakeoff.worker.attention``).

A forward pass is one line of tokens. It holds either segments, each of which sees the shared
prefix, its parent and its own earlier tokens; or the next tokens of each row that is being
answered, equally many of each.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import torch

from bakeoff.worker.attention import attend_last, refuse_unknown

NAME = "bakeoff_answers"


@dataclass(frozen=True)
class Segment:
    """Neighbouring tokens of the line that belong to one text."""

    tokens: slice
    parent: slice | None = None
    """Tokens of the same line that come before them: a context that several segments share."""

    slot: int | None = None
    """Where their keys and values are kept."""


@dataclass(frozen=True)
class NextTokens:
    """Neighbouring tokens in each of the first slots, row after row in the line."""

    places: torch.Tensor
    """(rows, W): where each stands in its slot."""

    mask: torch.Tensor
    """(rows, 1, 1, W, capacity), minus infinity where the slot holds nothing that a token sees."""


@dataclass
class KeyValues:
    """Keys and values by layer; room is made when a layer is first met.

    Args:
        num_slots: rows that are answered at a time.
        capacity: tokens of the longest row, the shared prefix not counted.
    """

    num_slots: int
    capacity: int
    slots: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """Keys and values, each (slots, key heads, capacity, size)."""

    prefix: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """Keys and values of the shared prefix, each (key heads, P, size)."""

    def of_layer(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The room of a layer, for keys and values like these: (1, key heads, T, size)."""
        if layer not in self.slots:
            # A weight of zero does not hide what is not a number in memory that was never written.
            keys, values = (
                kind.new_zeros(self.num_slots, kind.shape[1], self.capacity, kind.shape[3])
                for kind in (key, value)
            )
            # Of lines that are read side by side the first makes the room of all.
            self.slots.setdefault(layer, (keys, values))
        return self.slots[layer]

    def move(self, source: int, target: int, length: int) -> None:
        """Put a row of so many tokens into another slot."""
        for kinds in self.slots.values():
            for kind in kinds:
                kind[target, :, :length] = kind[source, :, :length]


class AnswerAttention:
    """Causal attention over what was set by the same thread."""

    def __init__(self) -> None:
        self.kept = KeyValues(0, 0)
        self.longest = 0
        """Tokens of the longest text that is expected."""

        self._here = threading.local()

    def set_segments(self, segments: list[Segment], *, is_prefix: bool = False) -> None:
        """The line holds these; ``is_prefix``: all later segments and rows see it."""
        self._here.segments = tuple(segments)
        self._here.is_prefix = is_prefix
        self._here.next_tokens = None

    def set_next_tokens(
        self, lengths: list[int], *, width: int = 1, dtype: torch.dtype, device: Any
    ) -> None:
        """The line holds ``width`` tokens of each of the first slots, which hold so many before."""
        places = torch.tensor(lengths, device=device)[:, None] + torch.arange(width, device=device)
        # Up to the end of the slots: matrices cut out of them would be copied before each product.
        columns = torch.arange(self.kept.capacity, device=device)
        mask = torch.zeros(len(lengths), width, len(columns), dtype=dtype, device=device)
        mask.masked_fill_(columns > places[:, :, None], float("-inf"))
        self._here.next_tokens = NextTokens(places, mask[:, None, None])

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        scaling: float | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attend; the arguments are those of ``bakeoff.worker.attention.PackedAttention``.

        Returns:
            (1, T, heads, size), and None for the weights.

        Raises:
            NotImplementedError: the architecture asks for more than plain causal attention.
        """
        refuse_unknown(attention_mask, others, longest=self.longest)
        layer = int(module.layer_idx)
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        tokens: NextTokens | None = self._here.next_tokens
        if tokens is not None:
            room = self.kept.of_layer(layer, key, value)
            _keep(room, tokens, key, value)
            prefix = self.kept.prefix.get(layer)
            return _attend_next(query * scale, room, prefix, tokens), None
        if self._here.is_prefix:
            self.kept.prefix[layer] = key[0], value[0]
        return self._segments(layer, query, key, value, scale), None

    def _segments(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        attended = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        for segment in self._here.segments:
            own = segment.tokens
            if segment.slot is not None:
                length = own.stop - own.start
                keys, values = self.kept.of_layer(layer, key, value)
                keys[segment.slot, :, :length] = key[0, :, own]
                values[segment.slot, :, :length] = value[0, :, own]
            before = [] if self._here.is_prefix else list(self._before(layer, segment, key, value))
            attended[0, own] = attend_last(
                query[0, :, own],
                torch.cat([*(keys for keys, _ in before), key[0, :, own]], dim=1),
                torch.cat([*(values for _, values in before), value[0, :, own]], dim=1),
                scale,
            )
        return attended

    def _before(self, layer: int, segment: Segment, key: torch.Tensor, value: torch.Tensor) -> Any:
        if layer in self.kept.prefix:
            yield self.kept.prefix[layer]
        if segment.parent is not None:
            yield key[0, :, segment.parent], value[0, :, segment.parent]


def _keep(
    room: tuple[torch.Tensor, torch.Tensor],
    tokens: NextTokens,
    key: torch.Tensor,
    value: torch.Tensor,
) -> None:
    num_rows, width = tokens.places.shape
    rows = torch.arange(num_rows, device=tokens.places.device)[:, None]
    for kept, new in zip(room, (key, value), strict=True):
        # (rows, W, key heads, size)
        kept[rows, :, tokens.places] = new[0].transpose(0, 1).unflatten(0, (num_rows, width))


def _attend_next(
    query: torch.Tensor,
    room: tuple[torch.Tensor, torch.Tensor],
    prefix: tuple[torch.Tensor, torch.Tensor] | None,
    tokens: NextTokens,
) -> torch.Tensor:
    """Each row's new tokens over its own slot and the prefix.

    Args:
        query: (1, heads, rows x W, size), scaled.
        room: keys and values, each (slots, key heads, capacity, size).
        prefix: keys and values, each (key heads, P, size).
        tokens: of each row.

    Returns:
        (1, rows x W, heads, size)
    """
    num_rows, width = tokens.places.shape
    keys, values = (kind[:num_rows] for kind in room)
    num_groups, num_columns, size = keys.shape[1:]
    # (rows, key heads, heads per key head x W, size)
    asked = query[0].view(num_groups, -1, num_rows, width, size).permute(2, 0, 1, 3, 4)
    asked = asked.reshape(num_rows, num_groups, -1, size)
    scores = (asked @ keys.transpose(2, 3)).view(num_rows, num_groups, -1, width, num_columns)
    scores = (scores + tokens.mask).flatten(2, 3)
    if prefix is None:
        attended = scores.softmax(-1) @ values
    else:
        # All rows ask the same keys: one matrix product for all of them.
        prefix_keys, prefix_values = prefix
        length = prefix_keys.shape[1]
        together = asked.transpose(0, 1).reshape(num_groups, -1, size)
        shared = (together @ prefix_keys.transpose(1, 2)).view(num_groups, num_rows, -1, length)
        weights = torch.cat([shared.transpose(0, 1), scores], dim=-1).softmax(-1)
        of_prefix = weights[..., :length].transpose(0, 1).reshape(num_groups, -1, length)
        attended = (of_prefix @ prefix_values).view(num_groups, num_rows, -1, values.shape[3])
        attended = attended.transpose(0, 1) + weights[..., length:] @ values
    # (rows, key heads, heads per key head, W, size)
    by_head = attended.unflatten(2, (-1, width)).permute(0, 3, 1, 2, 4)
    return by_head.reshape(1, num_rows * width, query.shape[1], -1)


def register() -> AnswerAttention:
    """Make the attention known to transformers under NAME."""
    from transformers import AttentionInterface

    attention = AnswerAttention()
    AttentionInterface.register(NAME, attention)
    return attention
