"""Attention over rows packed into one line, each row seeing only itself.

Registered with transformers under a name, it replaces the attention of every layer. The layout of
the packed rows is set before each forward pass, as an attribute: arguments of the model's forward
do not reach the attention in every architecture, and recomputed activations (gradient
checkpointing) run in another thread, out of reach of a context variable.
"""

import functools
import itertools
import threading
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from bakeoff.worker.layout import Layout

NAME = "bakeoff_packed"

TILE_TOKENS = 128
"""Queries of a tile, about: fewer leave out more of the masked scores, but make smaller products.
A tile has up to half as many again."""

_KEPT_KEYS = 512
"""Of a tile whose weights are kept for the backward pass: with rows of 200 tokens a tenth more
memory for a few hundredths less time."""

_CHANGES_RESULT = ("softcap", "s_aux", "position_bias", "head_mask")
"""Arguments of some architectures' attention that would change the result if ignored."""


class PackedAttention:
    """Causal attention within each of the packed rows."""

    def __init__(self) -> None:
        self._latest = Layout(())
        self._by_thread: dict[int, Layout] = {}

    @property
    def layout(self) -> Layout:
        """As set by this thread; in a thread that never did, as set last by any."""
        return self._by_thread.get(threading.get_ident(), self._latest)

    @layout.setter
    def layout(self, layout: Layout) -> None:
        self._latest = self._by_thread[threading.get_ident()] = layout

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
        """Attend.

        Args:
            module: the attention layer; not looked at.
            query: (1, heads, T, size)
            key: (1, key heads, T, size)
            value: like ``key``.
            attention_mask: must be None.
            scaling: of the scores; 1 / sqrt(size) when None.
            others: what the architecture adds; what would change the result is refused.

        Returns:
            (1, T, heads, size), and None for the weights.

        Raises:
            NotImplementedError: the architecture asks for more than plain causal attention.
        """
        refuse_unknown(attention_mask, others, longest=max(self.layout.row_lengths))
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        if query.device.type == "cpu":
            attended = _RowAttention.apply(query[0], key[0], value[0], scale, self.layout)
            return attended[None], None
        return _attend_by_kernel(query, key, value, scale, self.layout.row_lengths), None


def refuse_unknown(mask: torch.Tensor | None, others: dict[str, Any], *, longest: int) -> None:
    """Only plain causal attention over at most ``longest`` tokens goes on.

    Raises:
        NotImplementedError: the architecture asks for more.
    """
    window = others.get("sliding_window")
    if window is not None and longest > window:
        raise NotImplementedError(f"a row is longer than the sliding window of {window}")
    for name in _CHANGES_RESULT:
        if others.get(name) is not None:
            raise NotImplementedError(f"the architecture uses `{name}`")
    if mask is not None or others.get("dropout"):
        raise NotImplementedError("the architecture uses a mask or dropout of its own")


@functools.cache
def register() -> PackedAttention:
    """Make the attention known to transformers under NAME: one for all models of the process."""
    from transformers import AttentionInterface

    attention = PackedAttention()
    AttentionInterface.register(NAME, attention)
    return attention


def _attend_by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    row_lengths: tuple[int, ...],
) -> torch.Tensor:
    """One fused kernel a row."""
    rows = [
        scaled_dot_product_attention(
            *parts, is_causal=True, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
        )
        for parts in zip(
            query.split(row_lengths, 2),
            key.split(row_lengths, 2),
            value.split(row_lengths, 2),
            strict=True,
        )
    ]
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous()


class _RowAttention(torch.autograd.Function):
    """On the CPU; backwards in plain matrix products a tile.

    A tile is a part of one row's queries with all keys up to its end, so that of a long row half
    of the masked scores are never computed. For rows of a few hundred tokens this takes half the
    time of torch's own CPU kernel, whose backward pass is slow. The weights of tiles with few keys
    are kept; others are computed anew, as in FlashAttention (Dao et al. 2022, arXiv:2205.14135,
    section 3.1), so that nothing of size row x row is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        layout: Layout,
    ) -> torch.Tensor:
        num_heads, num_tokens, _ = query.shape
        attended = query.new_empty(num_tokens, num_heads, value.shape[-1])
        kept: list[torch.Tensor | None] = []
        for num_shared, own in layout.stretches():
            keys, values = (_seen(whole, num_shared, own) for whole in (key, value))
            attended[own] = attend_last(query[:, own], keys, values, scale, kept=kept)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.scale, ctx.layout = scale, layout
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, *kept_weights = ctx.saved_tensors
        kept = iter(kept_weights)
        num_heads, num_groups = query.shape[0], key.shape[0]
        scaled = query * ctx.scale
        grad_query = torch.empty_like(scaled)
        grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
        for num_shared, own in ctx.layout.stretches():
            keys, values = (_seen(whole, num_shared, own) for whole in (key, value))
            grad_keys, grad_values = torch.zeros_like(keys), torch.zeros_like(values)
            for queries, seen in _tiles(num_shared, own):
                grad = _group(gradients[0][queries].transpose(0, 1), num_groups)
                weights = next(kept, None)
                if weights is None:
                    weights = _weights(scaled[:, queries], keys[:, seen])
                grad_values[:, seen] += torch.bmm(weights.transpose(1, 2), grad)
                grad_weights = torch.bmm(grad, values[:, seen].transpose(1, 2))
                # The backward pass of softmax in one sweep, as autograd itself calls it.
                grad_scores = torch.ops.aten._softmax_backward_data(
                    grad_weights, weights, -1, weights.dtype
                )
                grad_query[:, queries] = _ungroup(torch.bmm(grad_scores, keys[:, seen]), num_heads)
                grad_keys[:, seen] += torch.bmm(
                    grad_scores.transpose(1, 2), _group(scaled[:, queries], num_groups)
                )
            for whole, part in ((grad_key, grad_keys), (grad_value, grad_values)):
                whole[:, :num_shared] += part[:, :num_shared]
                whole[:, own] += part[:, num_shared:]
        return grad_query.mul_(ctx.scale), grad_key, grad_value, None, None


def attend_last(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    *,
    kept: list[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """The last tokens of a text over all of it, without gradients.

    Args:
        query: (heads, L, size)
        key: (key heads, L + earlier tokens, size)
        value: like ``key``.
        scale: of the scores.
        kept: gets the weights of each tile, None where they are many; nothing where torch's own
            kernel computes.

    Returns:
        (L, heads, size)
    """
    num_queries, num_keys = query.shape[1], key.shape[1]
    is_cpu = query.device.type == "cpu"
    if not is_cpu or _kernel_is_faster(query.dtype):
        if not is_cpu:  # the kernels that save memory there know no heads that share a key head
            key, value = (
                kind.repeat_interleave(query.shape[0] // kind.shape[0], 0) for kind in (key, value)
            )
        mask = None
        if num_queries < num_keys:
            mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=query.device)
            mask.tril_(num_keys - num_queries)
        attended = scaled_dot_product_attention(
            query[None], key[None], value[None],
            attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=is_cpu,
        )  # fmt: skip
        return attended[0].transpose(0, 1)
    scaled = query * scale
    attended = query.new_empty(num_queries, query.shape[0], value.shape[-1])
    for queries, seen in _tiles(num_keys - num_queries, slice(0, num_queries)):
        weights = _weights(scaled[:, queries], key[:, seen])
        if kept is not None:
            kept.append(weights if weights.shape[-1] <= _KEPT_KEYS else None)
        of_tile = torch.bmm(weights, value[:, seen])
        attended[queries] = _ungroup(of_tile, query.shape[0]).transpose(0, 1)
    return attended


@functools.cache
def _kernel_is_faster(dtype: torch.dtype) -> bool:
    """Whether torch's own CPU kernel takes less time forwards than plain products a tile.

    In bf16 with AMX a third to a half (rows of 130 to 2,000 tokens); on an AMD processor with
    AVX512-BF16 three times as much. In fp32 they are alike.
    """
    return dtype is torch.bfloat16 and torch.cpu._is_amx_tile_supported()


def _seen(whole: torch.Tensor, num_shared: int, own: slice) -> torch.Tensor:
    """Keys or values of a stretch, (heads, shared + own tokens, size)."""
    if num_shared == 0:
        return whole[:, own]
    return torch.cat([whole[:, :num_shared], whole[:, own]], 1)


def _tiles(num_shared: int, own: slice) -> list[tuple[slice, slice]]:
    """The queries of each tile of a stretch, and which of its keys any of them sees."""
    length = own.stop - own.start
    # Tiles of equal size: a last one of a few queries would take nearly as long as a whole one.
    num_tiles = max(1, round(length / TILE_TOKENS))
    ends = [length * number // num_tiles for number in range(num_tiles + 1)]
    return [
        (slice(own.start + start, own.start + end), slice(0, num_shared + end))
        for start, end in itertools.pairwise(ends)
    ]


def _group(heads: torch.Tensor, num_groups: int) -> torch.Tensor:
    """(heads, L, size) -> (groups, heads per group x L, size): heads that share one key head."""
    return heads.reshape(num_groups, -1, heads.shape[-1])


def _ungroup(grouped: torch.Tensor, num_heads: int) -> torch.Tensor:
    """(groups, heads per group x L, size) -> (heads, L, size)."""
    return grouped.view(num_heads, -1, grouped.shape[-1])


def _weights(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Softmax of the causally masked scores: (groups, heads per group x L, keys).

    The query is scaled already; the last one stands at the last key.
    """
    num_heads, num_queries, _ = query.shape
    num_groups, num_keys, _ = key.shape
    scores = _ungroup(torch.bmm(_group(query, num_groups), key.transpose(1, 2)), num_heads)
    # Only among the tile's own keys does any lie after its query.
    scores[:, :, num_keys - num_queries :] += _future(num_queries, query.dtype)
    # In fp32 between: torch's softmax of bf16 takes twice as long where the number of keys is not a
    # multiple of 32.
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return _group(weights.to(scores.dtype), num_groups)


def _future(length: int, dtype: torch.dtype) -> torch.Tensor:
    """(L, L), minus infinity where a key lies after the query, else 0."""
    return large_future(TILE_TOKENS * 3 // 2, dtype)[:length, :length]


@functools.lru_cache(maxsize=2)
def large_future(size: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.full((size, size), float("-inf"), dtype=dtype).triu_(1)
