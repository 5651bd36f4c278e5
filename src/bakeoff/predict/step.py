"""A training on the tape: weights, passes with loss, optimiser steps.

States by Rajbhandari et al. 2020 (ZeRO, arXiv:1910.02054, section 3); the optimiser's temporary
copy as torch documents it for ``foreach``.
"""

from collections.abc import Sequence

from bakeoff.predict.layer import Kept, LayerTape
from bakeoff.predict.tape import Tape
from bakeoff.predict.work import Work

_CHUNK_TOKENS = 256
_CACHED_TOKENS = 16
_LIGER_CHUNKS = 8


def write_training(work: Work, lengths: Sequence[int] | None = None) -> Tape:
    """Load, then one optimiser step for each of ``lengths``, the longest row of its passes.

    The state of the optimiser appears in the first step, so that the peak is that of later ones.
    """
    writer = _Training(work)
    writer.load()
    for length in lengths or (work.tokens, work.tokens):
        writer.step(work.changed(tokens=length))
    return writer.tape


class _Training:
    def __init__(self, work: Work) -> None:
        self.tape = Tape()
        self._work = work
        self._has_state = False
        self._gradients: list[int] = []
        """Those that stay until the optimiser's step."""

        self._is_later_pass = False
        """Whether there are gradients of an earlier one."""

        self._lanes: list[int] = []
        """Gradients of the lanes but the first, which are added to those before the step."""

    def load(self) -> None:
        work = self._work
        shape = work.shape
        self.tape.begins("load")
        here = 0 if work.shards.offloads_weights else 1
        whole = here * work.stored_weight_bytes
        numbers = here * shape.vocabulary * shape.hidden
        embedding = numbers * work.weight_bytes / work.shards.weights
        outside = embedding * (1 if shape.tied else 2)
        for _ in range(1 if shape.tied else 2):
            self.tape.take(embedding, "weights")
        for _ in range(shape.layers):
            self._take_layer((whole - outside) / shape.layers)
        if work.adapter_numbers:
            self.tape.take(work.adapter_numbers * work.adapter_bytes, "adapter")
        keeps_master = work.shards.master_copy and not work.shards.offloads_optimizer
        if keeps_master and work.trained_numbers:
            self.tape.take(work.trained_numbers * 4 / work.shards.optimizer, "weights")
        self.tape.take(work.workspace_bytes, "other")
        trained = work.trained_numbers * work.weight_bytes
        if work.shards.gradient_copy:
            adapters = work.adapter_numbers * work.adapter_bytes
            self.tape.take(trained + adapters, "communication")
        if work.shards.bucket_numbers:
            bucket = min(work.shards.bucket_numbers, work.trained_numbers + work.adapter_numbers)
            self.tape.take(2 * bucket * work.compute_bytes, "communication")

    def _take_layer(self, num_bytes: float) -> None:
        total = sum(rows * columns for _, rows, columns in self._work.linear)
        for _, rows, columns in self._work.linear:
            self.tape.take(num_bytes * rows * columns / total, "weights")

    def step(self, work: Work) -> None:
        for _ in range(min(work.accumulation, 2)):
            self._pass(work)
            self._is_later_pass = True
        self._optimise(work)
        self._is_later_pass = False

    def _is_trained(self, layer: int) -> bool:
        if self._work.trains_all:
            return True
        last = self._work.last_layers
        return last is not None and layer >= self._work.shape.layers - last

    def _pass(self, work: Work) -> None:
        """Forward and backward over one batch."""
        layers = LayerTape(self.tape, work)
        residual = work.all_tokens * work.shape.hidden * work.compute_bytes
        self.tape.begins("forward")
        x = self.tape.take(residual, "activations")
        kept: list[Kept] = []
        inputs: list[int] = []
        first = self._first_with_gradient(work)
        for layer in range(work.shape.layers):
            self._gather(work)
            if work.checkpointing:
                inputs.append(self.tape.take(residual, "checkpoints"))
            x, held = layers.forward(x, trained=self._is_trained(layer))
            if work.checkpointing or layer < first:
                self.tape.drop(*held.rest())
            kept.append(held)
        self._loss(work, x)
        self.tape.begins("backward")
        gradient = self.tape.take(residual, "activations")
        for layer in reversed(range(first, work.shape.layers)):
            self._gather(work)
            if work.checkpointing:
                y = self.tape.take(residual, "activations")
                y, kept[layer] = layers.forward(y, trained=self._is_trained(layer))
                self.tape.drop(y)
            is_made = self._is_trained(layer) and not self._adds_in_place(work)
            self._settle(work, layers.backward(kept[layer], trained=is_made))
            if work.checkpointing:
                self.tape.drop(inputs.pop())
        self.tape.drop(gradient, *inputs)
        self._outside_gradients(work)
        if work.gradient_lanes > 1 and not self._is_later_pass:
            more = (work.gradient_lanes - 1) * work.trained_numbers * work.weight_bytes
            self._lanes.append(self.tape.take(more, "gradients"))

    def _first_with_gradient(self, work: Work) -> int:
        if work.last_layers is not None and not work.trains_all:
            return max(0, work.shape.layers - work.last_layers)
        return 0

    def _gather(self, work: Work) -> None:
        """A layer's weights put together, and those of the next that is fetched meanwhile."""
        if work.shards.gathers_layers:
            self.tape.brief(2 * work.layer_numbers * work.compute_bytes, "communication")

    def _settle(self, work: Work, made: Sequence[int]) -> None:
        """A layer's gradients stay, are added to those of an earlier pass, or are sent away."""
        if not made:
            return
        shards = work.shards
        if shards.gradients > 1 and not shards.unsharded_gradients:
            # Sent to where they belong; what stays here is a part of them.
            self.tape.drop(*made)
            if not self._is_later_pass:
                share = work.layer_numbers * work.weight_bytes / shards.gradients
                self._gradients.append(self.tape.take(share, "gradients"))
        elif self._is_later_pass:
            self.tape.drop(*made)
        else:
            self._gradients.extend(made)

    def _adds_in_place(self, work: Work) -> bool:
        return work.sums_gradients and self._is_later_pass

    def _loss(self, work: Work, x: int) -> None:
        """Last norm, logits, loss and its gradient down to the last layer."""
        t, h = work.all_tokens, work.shape.hidden
        e, tape = work.compute_bytes, self.tape
        tape.begins("loss")
        wide = tape.take(t * h * 4, "activations")
        narrow = tape.take(t * h * e, "activations")
        tape.drop(x)
        self._logits(work, t * work.shape.vocabulary)
        tape.drop(wide, narrow)

    def _logits(self, work: Work, numbers: int) -> None:
        """Copies of the logits as each path makes them; see ``work.LossPath``."""
        tape, e = self.tape, work.compute_bytes
        vocabulary = work.shape.vocabulary

        def take(num_bytes: float) -> int:
            return tape.take(num_bytes, "logits")

        if work.loss == "labels":
            piece = min(_CHUNK_TOKENS * vocabulary, numbers * work.label_share)
            # On a CPU the softmax goes over so few rows that they stay in its cache.
            cached = min(piece, _CACHED_TOKENS * vocabulary) if work.is_on_cpu else piece
            tape.drop(take(piece * e), take(cached * 4))
            self._head_backward(work)
            return
        if work.loss == "chunked":
            piece = numbers / _LIGER_CHUNKS
            tape.drop(take(piece * e), take(piece * 4), take(piece * 4))
            self._head_backward(work)
            return
        self._whole_logits(work, numbers)

    def _whole_logits(self, work: Work, numbers: int) -> None:
        tape, e = self.tape, work.compute_bytes
        outputs, soft = self._upcast(work, numbers)
        if not work.keeps_outputs:
            tape.drop(outputs)
        picked = tape.take(numbers * 4, "logits")
        wide = tape.take(numbers * 4, "logits")
        tape.drop(picked, soft)
        if work.loss != "model":  # the gradient of the shifted copy, filled up with zeros
            padded = tape.take(numbers * (4 if work.loss == "model-shifted" else e), "logits")
            tape.drop(wide)
            wide = padded
        if e < 4:
            narrow = tape.take(numbers * e, "logits")
            tape.drop(wide)
            wide = narrow
        self._head_backward(work)
        tape.drop(wide)
        if work.keeps_outputs:
            tape.drop(outputs)

    def _upcast(self, work: Work, numbers: int) -> tuple[int, int]:
        """The logits that the model hands out, and log softmax in fp32, which is kept."""
        tape, e = self.tape, work.compute_bytes
        outputs = self._capped(work, numbers)
        upcast: list[int] = []
        if work.loss == "model-shifted" and e < 4:
            wide = tape.take(numbers * 4, "logits")
            tape.drop(outputs)
            outputs = wide
        if work.loss == "autocast-shifted":
            upcast.append(tape.take(numbers * e, "logits"))
        if work.loss != "model" or e < 4:
            upcast.append(tape.take(numbers * 4, "logits"))
        soft = tape.take(numbers * 4, "logits")
        tape.drop(*upcast)
        if work.loss == "autocast-shifted":
            wide = tape.take(numbers * 4, "logits")
            tape.drop(outputs)
            outputs = wide
        return outputs, soft

    def _capped(self, work: Work, numbers: int) -> int:
        logits = self.tape.take(numbers * work.compute_bytes, "logits")
        if not work.shape.bounded_logits:
            return logits
        capped = [self.tape.take(numbers * work.compute_bytes, "logits") for _ in range(2)]
        self.tape.drop(logits, capped[0])
        return capped[1]

    def _head_backward(self, work: Work) -> None:
        t, h = work.all_tokens, work.shape.hidden
        if work.trains_all and not self._adds_in_place(work):
            head = work.shape.vocabulary * h * work.weight_bytes
            if self._is_later_pass or work.shards.gradients > 1:
                self.tape.brief(head, "gradients")
                head /= work.shards.gradients
            if not self._is_later_pass:
                self._gradients.append(self.tape.take(head, "gradients"))
        self.tape.brief(t * h * work.compute_bytes, "activations")

    def _outside_gradients(self, work: Work) -> None:
        """The embedding's, which for a tied one are added to the output layer's."""
        is_added = work.shape.tied or self._is_later_pass
        if not work.trains_all or (work.sums_gradients and is_added):
            return
        numbers = work.shape.vocabulary * work.shape.hidden
        whole = self.tape.take(numbers * work.weight_bytes, "gradients")
        if is_added or work.shards.gradients > 1:
            self.tape.drop(whole)
        else:
            self._gradients.append(whole)

    def _optimise(self, work: Work) -> None:
        tape = self.tape
        tape.begins("optimizer step")
        tape.drop(*self._lanes)
        self._lanes.clear()
        adapters = work.adapter_numbers
        small = tape.take(adapters * work.adapter_bytes, "gradients") if adapters else None
        trained = work.trained_numbers / work.shards.optimizer
        if not self._has_state and not work.shards.offloads_optimizer:
            self._has_state = True
            for _ in range(2):
                for size in _moments(work, trained):
                    tape.take(size, "optimizer")
                if adapters:
                    tape.take(work.adapter_moment_bytes / work.shards.optimizer, "optimizer")
        self._transient(work, trained, adapters)
        tape.drop(*self._gradients, *([small] if small is not None else []))
        self._gradients.clear()

    def _transient(self, work: Work, trained: float, adapters: int) -> None:
        """``foreach`` takes the square roots of all second moments at once."""
        each = work.state_bytes
        largest = work.largest_trained / work.shards.optimizer
        if work.optimizer == "foreach":
            parts = [largest * each, max(trained - largest, 0) * each] if trained else []
            parts += [adapters * work.adapter_bytes] if adapters else []
            self.tape.drop(*[self.tape.take(part, "optimizer_transient") for part in parts])
        elif work.optimizer == "8bit" and work.is_on_cpu and trained:
            # fp32 copies of weight and gradient, and of what comes of both moments.
            self.tape.drop(*[self.tape.take(largest * 4, "optimizer_transient") for _ in "1234"])
        elif work.optimizer == "loop" and trained:
            self.tape.drop(*[self.tape.take(largest * each, "optimizer_transient") for _ in "12"])


def _moments(work: Work, trained: float) -> list[float]:
    """Bytes of one moment of the ``trained`` weights on a device: the largest piece, the others."""
    if not trained:
        return []
    share = trained / work.trained_numbers
    if work.optimizer == "8bit":
        largest = work.embedding_in_fp32 * 4 * share
    else:
        pieces = min(work.largest_trained / work.shards.optimizer, trained)
        largest = pieces * work.state_bytes
    return [largest, work.weight_moment_bytes * share - largest]
