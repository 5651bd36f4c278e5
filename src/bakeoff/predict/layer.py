"""One transformer layer on the tape: what is kept for the backward pass, and what comes and goes.

Follows the modules of transformers as they run in plain PyTorch (no compilation): RMSNorm goes
through fp32 and keeps that copy; rotary embedding keeps nothing of its inputs; SwiGLU keeps the
gate, its activation and the other half; a matrix keeps its input only if it, or an adapter beside
it, is trained. Compare Korthikanti et al. 2022 (arXiv:2205.05198, section 4), whose layer has
GELU, dropout and LayerNorm instead.
"""

from dataclasses import dataclass, field

from bakeoff.predict.tape import Tape
from bakeoff.predict.work import Work

_TILE_TOKENS = 128
_KEPT_KEYS = 512
"""Both of ``bakeoff.worker.attention``."""


@dataclass
class Kept:
    """Blocks that a layer keeps, in groups, each freed at its point of the backward pass."""

    groups: dict[str, list[int]] = field(default_factory=dict)

    def add(self, group: str, *blocks: int) -> None:
        self.groups.setdefault(group, []).extend(blocks)

    def pop(self, group: str) -> list[int]:
        return self.groups.pop(group, [])

    def rest(self) -> list[int]:
        blocks = [block for group in self.groups.values() for block in group]
        self.groups.clear()
        return blocks


class LayerTape:
    """Writes layers of one forward pass of ``work`` to the tape."""

    def __init__(self, tape: Tape, work: Work) -> None:
        self.tape = tape
        self.work = work
        self._e = work.compute_bytes
        self._t = work.all_tokens
        shape = work.shape
        self._query = shape.heads * shape.head_size
        self._key = shape.key_heads * shape.head_size
        self._matrices = {name: (rows, columns) for name, rows, columns in work.linear}

    def forward(self, x: int, *, trained: bool) -> tuple[int, Kept]:
        """From residual stream to residual stream; ``x`` is freed."""
        kept = Kept()
        h = self._t * self.work.shape.hidden
        normed = self._norm(kept, "norm1", trained=trained)
        attended = self._attend(normed, kept, trained=trained)
        out = self._linear("o_proj", attended, kept, "attention", trained=trained)
        middle = self._take(h * self._e)
        self.tape.drop(out, x)
        normed = self._norm(kept, "norm2", trained=trained)
        out = self._feed_forward(normed, kept, trained=trained)
        result = self._take(h * self._e)
        self.tape.drop(out, middle)
        return result, kept

    def backward(self, kept: Kept, *, trained: bool) -> list[int]:
        """Frees what was kept; the gradients of weights that stay."""
        h, e = self._t * self.work.shape.hidden, self._e
        gradients: list[int] = []
        m = self._t * self.work.shape.intermediate
        inner = self._linear_backward("down_proj", kept, gradients, trained=trained)
        self.tape.drop(*kept.pop("down"))
        halves = [self._take(m * e), self._take(m * e)] if self.work.shape.gated else []
        gate = self._take(m * e)
        self.tape.drop(inner, *kept.pop("mlp"), *halves[:1])
        back = [
            self._linear_backward(name, kept, gradients, trained=trained)
            for name in ("up_proj", "gate_proj")
            if name in self._matrices
        ]
        if trained and self.work.shape.idle:
            idle = self.work.shape.idle * self.work.weight_bytes
            gradients.append(self.tape.take(idle, "gradients"))
        self.tape.drop(*halves[1:], gate, *kept.pop("mlp_in"))
        self._norm_backward(kept, "norm2")
        self.tape.drop(*back)
        attended = self._linear_backward("o_proj", kept, gradients, trained=trained)
        self._attend_backward(kept, attended)
        back = [
            self._linear_backward(name, kept, gradients, trained=trained) for name in self._inputs()
        ]
        self.tape.drop(*kept.pop("qkv_in"))
        self._norm_backward(kept, "norm1")
        self.tape.drop(*back, *kept.rest())
        self.tape.brief(h * e, "activations")
        return gradients

    def _inputs(self) -> list[str]:
        return [
            name for name in ("qkv_proj", "q_proj", "k_proj", "v_proj") if name in self._matrices
        ]

    def _take(self, num_bytes: float) -> int:
        return self.tape.take(num_bytes, "activations")

    def _norm(self, kept: Kept, group: str, *, trained: bool) -> int:
        h = self._t * self.work.shape.hidden
        if not self.work.shape.norm_in_fp32:
            kept.add(group, self._take(h * self._e))  # the residual itself stays
            return self._take(h * self._e)
        if self.work.fuses_layers:
            kept.add(group, self._take(h * self._e), self._take(self._t * 4))
            self.tape.brief(h * 4, "activations")
            return self._take(h * self._e)
        wide = self._take(h * 4)
        self.tape.brief(h * 4, "activations")
        kept.add(group, wide, self._take(self._t * 4))
        product = self._take(h * 4)
        if self._e < 4:
            narrow = self._take(h * self._e)
            self.tape.drop(product)
            product = narrow
        out = self._take(h * self._e)
        if trained:
            kept.add(group, product)
        else:
            self.tape.drop(product)
        return out

    def _norm_backward(self, kept: Kept, group: str) -> None:
        h = self._t * self.work.shape.hidden
        blocks = [self._take(h * self._e)]
        if self.work.shape.norm_in_fp32:
            blocks += [self._take(h * 4) for _ in range(3)]
        self.tape.drop(*kept.pop(group), *blocks)

    def _attend(self, normed: int, kept: Kept, *, trained: bool) -> int:
        t, e, shape = self._t, self._e, self.work.shape
        made = [self._linear(n, normed, kept, n, trained=trained) for n in self._inputs()]
        if trained or any(self.work.is_adapted(n) for n in self._inputs()):
            kept.add("qkv_in", normed)
        else:
            self.tape.drop(normed)
        self.tape.brief(2 * t * self._query * e, "activations")
        turned = [self._take(t * self._query * e), self._take(t * self._key * e)]
        value = self._take(t * self._key * e)
        self.tape.drop(*made)
        if self.work.repeats_keys and shape.heads != shape.key_heads:
            wide = [self._take(t * self._query * e) for _ in range(2)]
            self.tape.drop(turned.pop(), value)
            kept.add("attention", *turned, *wide)
        else:
            kept.add("attention", *turned, value)
        if self.work.attention == "eager":
            kept.add("attention", *self._eager_weights())
        elif self.work.attention == "rows":
            tile = shape.heads * min(self.work.tokens, _TILE_TOKENS) * self.work.tokens
            self.tape.drop(self._take(tile * e), self._take(tile * 4))
            if self.work.tokens <= _KEPT_KEYS:
                kept.add("attention", self._take(self.work.rows * self._tiles() * e))
        else:
            kept.add("attention", self._take(t * shape.heads * 4))
        out = self._take(t * self._query * e)
        kept.add("attention", out)
        return out

    def _tiles(self) -> float:
        """Weights of a row's tiles, each with the keys up to its end, of all heads."""
        tokens = self.work.tokens
        num_tiles = max(1, round(tokens / _TILE_TOKENS))
        return self.work.shape.heads * tokens**2 * (num_tiles + 1) / (2 * num_tiles)

    def _eager_weights(self) -> list[int]:
        """Scores, softmax in fp32 and its copy in the type of the values."""
        one = self.work.rows * self.work.shape.heads * self.work.tokens**2
        scores = self._take(one * self._e)
        masked = self._take(one * self._e)
        self.tape.drop(scores)
        soft = self._take(one * 4)
        narrow = [self._take(one * self._e)] if self._e < 4 else []
        self.tape.drop(masked)
        return [soft, *narrow]

    def _attend_backward(self, kept: Kept, gradient: int) -> None:
        t, e, shape = self._t, self._e, self.work.shape
        wide = self._query if self.work.repeats_keys else self._key
        blocks = [self._take(t * width * e) for width in (self._query, wide, wide)]
        one = self.work.rows * shape.heads * self.work.tokens**2
        if self.work.attention == "eager":
            self.tape.drop(self._take(one * e), self._take(one * 4), self._take(one * 4))
        elif self.work.attention == "rows":
            tile = shape.heads * min(self.work.tokens, _TILE_TOKENS) * self.work.tokens
            self.tape.drop(*(self._take(tile * e) for _ in range(3)))
        elif e < 4:
            self.tape.brief(t * self._query * 4, "activations")  # dq is summed in fp32
        self.tape.drop(gradient, *kept.pop("attention"))
        self.tape.brief(2 * t * self._query * e, "activations")
        self.tape.drop(*blocks)

    def _feed_forward(self, normed: int, kept: Kept, *, trained: bool) -> int:
        m = self._t * self.work.shape.intermediate * self._e
        adapted = any(self.work.is_adapted(name) for name in ("gate_proj", "up_proj"))
        if self.work.shape.gated:
            gate = self._linear("gate_proj", normed, kept, "mlp", trained=trained)
            active = self._take(m)
            other = self._linear("up_proj", normed, kept, "mlp", trained=trained)
            inner = self._take(m)
            if self.work.fuses_layers:  # their product is made anew in the backward pass
                self.tape.drop(active)
                kept.add("mlp", gate, other)
            else:
                kept.add("mlp", gate, active, other)
        else:
            other = self._linear("up_proj", normed, kept, "mlp", trained=trained)
            inner = self._take(m)
            kept.add("mlp", other)
        if trained or adapted:
            kept.add("mlp_in", normed)
        else:
            self.tape.drop(normed)
        out = self._linear("down_proj", inner, kept, "down", trained=trained)
        needs_inner = trained or (self.work.is_adapted("down_proj") and self.work.adapter == "fast")
        if needs_inner and not (self.work.fuses_layers and self.work.shape.gated):
            kept.add("down", inner)
        else:
            self.tape.drop(inner)
        return out

    def _linear(self, name: str, _: int, kept: Kept, group: str, *, trained: bool) -> int:
        """A matrix and the adapter beside it; the block of its result."""
        rows, columns = self._matrices[name]
        work, t, e = self.work, self._t, self._e
        if work.quantised_bits:
            self.tape.brief(rows * columns * e, "other")  # the matrix, unpacked for the product
        elif work.weight_bytes > e and trained:
            kept.add("cast", self._take(rows * columns * e))  # autocast's copy of the matrix
        result = self._take(t * columns * e)
        if not work.is_adapted(name):
            return result
        low = self._take(t * work.rank * (e if work.adapter == "fast" else work.adapter_bytes))
        kept.add(group, low)
        if work.adapter == "fast":
            return result
        wide = e if work.adapter == "autocast" else work.adapter_bytes
        if wide != e or work.dropout or work.adapter == "autocast":
            kept.add(group, self._take(t * rows * wide))
        if work.dropout:
            kept.add(group, self._take(t * rows))
        added = [self._take(t * columns * wide), self._take(t * columns * wide)]
        self.tape.drop(added[0])
        if work.is_dora:
            kept.add(group, self._take(t * columns * e), added.pop())
            added.append(self._take(rows * columns * 4))
        summed = self._take(t * columns * wide)
        self.tape.drop(added[-1], result)
        if wide == e:
            return summed
        narrow = self._take(t * columns * e)
        self.tape.drop(summed)
        return narrow

    def _linear_backward(
        self, name: str, kept: Kept, gradients: list[int], *, trained: bool
    ) -> int:
        """The block of the gradient of the matrix's input."""
        rows, columns = self._matrices[name]
        work, t, e = self.work, self._t, self._e
        if work.quantised_bits:
            self.tape.brief(rows * columns * e, "other")
        result = self._take(t * rows * e)
        if trained:
            if work.weight_bytes > e:
                self.tape.brief(rows * columns * e, "gradients")
            gradients.append(self.tape.take(rows * columns * work.weight_bytes, "gradients"))
        if not work.is_adapted(name) or work.adapter == "fast":
            return result
        wide = e if work.adapter == "autocast" else work.adapter_bytes
        gradient = self._take(t * columns * wide)
        back = self._take(t * rows * wide)
        self.tape.drop(gradient)
        if wide != e:
            self.tape.brief(t * rows * e, "activations")
        self.tape.drop(back)
        return result
