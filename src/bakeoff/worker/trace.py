"""The memory of a training step, found by running it without numbers.

The real classes run: transformers' model, PEFT's layers and, for the built-in trainer, its own
loading, batches, loss and optimiser; for a framework what transformers' trainer does in a step. In
goes a job with the settings of a training and the lengths of its rows; out comes ``result.json``
with the tape (``bakeoff.predict.tape``).
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from typing_extensions import override

from bakeoff.worker import attention, batches, modelling
from bakeoff.worker.gradient_sums import GradientSums
from bakeoff.worker.lanes import share_out
from bakeoff.worker.machine import packages, write_json_atomic
from bakeoff.worker.optimizer import build_optimizer, clip_gradients, embeddings_of
from bakeoff.worker.rows import IGNORED, Row
from bakeoff.worker.settings import TrainJob, read_job
from bakeoff.worker.trace_tape import LOADING, TapeMode

_SMALLEST_IN_8_BITS = 4096
_BLOCK = 256
"""Numbers that share a scale."""

_NUM_STEPS = 2
"""The optimiser's state appears in the first."""


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Trace as ``job`` says: that of a training, and ``backend``, ``target``, ``rows``."""
    backend, target, shapes = job.pop("backend"), job.pop("target"), job.pop("rows")
    settings = read_job(job)
    rows = [_row(index, *shape) for index, shape in enumerate(shapes)]
    tape = trace(settings, rows, is_builtin=backend == "builtin", target=target)
    result = {
        "events": tape.events,
        "parts": tape.parts,
        "moments": tape.moments,
        "packages": packages(),
    }
    write_json_atomic(run_dir / "result.json", result)


def trace(job: TrainJob, rows: list[Row], *, is_builtin: bool, target: str) -> TapeMode:
    """The tape of two optimiser steps over ``rows``.

    Args:
        job: The training.
        rows: Those of one step, a pass after the other.
        is_builtin: Whether the built-in trainer does it, or transformers' trainer.
        target: `cpu` or `cuda`: whose kernels are taken.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        job.model_dir, local_files_only=True, trust_remote_code=job.trust_remote_code
    )
    vocabulary = config.get_text_config().vocab_size
    equal = len({len(row.token_ids) for row in rows}) == 1
    tape = TapeMode(vocabulary=vocabulary, asks_yes=equal)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    is_cuda = target == "cuda"
    with _stand_ins(config, fake, is_cuda=is_cuda), fake, tape:
        tape.begins("load", LOADING)
        made = (_Builtin if is_builtin else _Framework)(job, rows, is_cuda=is_cuda)
        tape.mark(made.model.parameters(), "weights")
        named = made.model.named_parameters()
        tape.mark((p for name, p in named if "lora_" in name), "adapter")
        for _ in range(_NUM_STEPS):
            _step(made, rows, tape)
    return tape


def _step(trainer: Any, rows: list[Row], tape: TapeMode) -> None:
    targets = sum(row.num_targets for row in rows)
    for passes in trainer.passes(rows):
        tape.begins("forward", "activations")
        losses = [trainer.loss(portion, targets, lane) for lane, portion in enumerate(passes)]
        tape.begins("backward", "activations")
        while losses:
            losses.pop().backward()
        tape.mark(trainer.gradients(), "gradients")
    trainer.join_lanes()
    tape.begins("optimizer step", "optimizer_transient")
    clip_gradients(trainer.trained, trainer.job.train.max_grad_norm)
    trainer.optimizer.step()
    states = trainer.optimizer.state.values()
    tensors = (v for state in states for v in state.values() if isinstance(v, torch.Tensor))
    tape.mark(tensors, "optimizer")
    trainer.optimizer.zero_grad()


class _Builtin:
    """``bakeoff.worker.modelling`` as it is; only what needs real numbers is left out."""

    def __init__(self, job: TrainJob, rows: list[Row], *, is_cuda: bool) -> None:
        self.job = job
        self._trainee = modelling.load_trainee(job, rows, pad_token=0, device=torch.device("cpu"))
        self._num_lanes = 1 if is_cuda else self._trainee.num_lanes
        self.model = self._trainee.model
        self.model.train()
        self.trained = list(self._trainee.trained.values())
        self.join_lanes()
        self.optimizer: torch.optim.Optimizer
        if job.train.optimizer == "adamw-8bit":
            self.optimizer = _EightBit(self.model, is_cuda=is_cuda)
        else:
            self.optimizer = build_optimizer(self._trainee.trained, job.train)

    def passes(self, rows: list[Row]) -> list[list[list[Row]]]:
        if self._num_lanes == 1:
            return [[some] for some in self._trainee.portions(rows, self.job.train.batch_size)]
        lanes = share_out(rows, self._num_lanes, self.job.train.batch_size)
        rounds = itertools.zip_longest(*lanes)
        return [[some for some in side_by_side if some] for side_by_side in rounds]

    def gradients(self) -> list[torch.Tensor]:
        of_lanes = [value for sums in self._sums for value in sums.values(self.trained)]
        return [g for g in (*of_lanes, *(p.grad for p in self.trained)) if g is not None]

    def join_lanes(self) -> None:
        """The gradients of the first are those of all."""
        lanes = range(self._num_lanes)
        self._sums = [GradientSums(self.trained, in_place=lane == 0) for lane in lanes]

    def loss(self, rows: list[Row], targets: int, lane: int) -> torch.Tensor:
        with self._sums[lane].collecting():
            return self._trainee.cross_entropy(self._trainee.make_batch(rows), targets)


class _Framework:
    """What transformers' trainer does in a step, with PEFT's layers."""

    def __init__(self, job: TrainJob, rows: list[Row], *, is_cuda: bool) -> None:
        from transformers import AutoModelForCausalLM

        self.job = job
        self._is_mixed = job.train.precision == "bf16-mixed"
        self.model = AutoModelForCausalLM.from_pretrained(
            job.model_dir, dtype=modelling.DTYPES[job.train.precision]
        )
        if job.train.gradient_checkpointing:
            modelling._recompute_activations(self.model)
            if job.lora is not None:
                self.model.enable_input_require_grads()
        if job.lora is not None:
            modelling._add_adapter(self.model, job.lora, is_mixed=True)  # as PEFT does
        if job.freeze is not None:
            modelling._freeze_all_but_last(self.model, job.freeze.trainable_layers)
        self.model.train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer
        if job.train.optimizer == "adamw-8bit":
            self.optimizer = _EightBit(self.model, is_cuda=is_cuda)
        else:
            self.optimizer = torch.optim.AdamW(self.trained, foreach=is_cuda)

    def passes(self, rows: list[Row]) -> list[list[list[Row]]]:
        portions = batches.micro_batches(rows, self.job.train.batch_size, by_length=False)
        return [[portion] for portion in portions]

    def gradients(self) -> list[torch.Tensor]:
        return [p.grad for p in self.trained if p.grad is not None]

    def join_lanes(self) -> None:
        """There is one."""

    def loss(self, rows: list[Row], targets: int, _lane: int) -> torch.Tensor:
        batch = batches.pad(rows, pad_token=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_mixed):
            outputs = self.model(
                input_ids=batch.token_ids,
                attention_mask=batch.attention_mask,
                labels=batch.token_ids,
                num_items_in_batch=targets,
                use_cache=False,
            )
        return outputs.loss


class _EightBit(torch.optim.Optimizer):
    """What AdamW takes in bitsandbytes 0.50 with `optim_bits=8`; its kernels need real numbers.

    On a GPU that is its state alone, on a CPU fp32 copies of each weight in turn, too
    (`optim/optimizer.py`, `backends/cpu/ops.py`).
    """

    def __init__(self, model: torch.nn.Module, *, is_cuda: bool) -> None:
        super().__init__([p for p in model.parameters() if p.requires_grad], {})
        self._embeddings = {id(weight) for weight in embeddings_of(model)}
        self._is_cuda = is_cuda

    @override
    def step(self, closure: Any = None) -> None:
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                self._update(parameter)

    @torch.no_grad()
    def _update(self, parameter: torch.nn.Parameter) -> None:
        size = parameter.numel()
        in_8_bits = size >= _SMALLEST_IN_8_BITS and id(parameter) not in self._embeddings
        kind = torch.uint8 if in_8_bits else torch.float32
        state = self.state[parameter]
        for name in ("state1", "state2") if not state else ():
            state[name] = torch.zeros_like(parameter, dtype=kind)
            if in_8_bits:
                state[f"absmax{name[-1]}"] = torch.zeros(-(-size // _BLOCK))
        if not self._is_cuda:
            copies = [parameter.float(), parameter.grad.float() * 1.0]
            # Both moments where they are in 8 bits; the root of the second, and that corrected.
            copies += [torch.empty_like(copies[0]) for _ in range(4 if in_8_bits else 2)]


def _without_numbers(make: Any, fake: Any) -> Any:
    """A batch is made of real numbers, which decide its shape, and then loses them."""
    from torch.utils._python_dispatch import _disable_current_modes

    def make_fake(rows: list[Row], **options: Any) -> batches.Batch:
        with _disable_current_modes():
            batch = make(rows, **options)
        made = {
            name: fake.from_tensor(value)
            for name, value in vars(batch).items()
            if isinstance(value, torch.Tensor)
        }
        return replace(batch, **made)

    return make_fake


@contextlib.contextmanager
def _stand_ins(config: Any, fake: Any, *, is_cuda: bool) -> Iterator[None]:
    """In the places that need real numbers, real files or a real GPU; taken back at the end."""
    from transformers import AutoModelForCausalLM

    def from_config(_: Any, *, dtype: Any, trust_remote_code: bool = False, **__: Any) -> Any:
        model = AutoModelForCausalLM.from_config(
            config, dtype=dtype, trust_remote_code=trust_remote_code
        )
        model.to = lambda *_, **__: model  # it is nowhere
        return model

    stand_ins: list[tuple[Any, str, Any]] = [
        (AutoModelForCausalLM, "from_pretrained", from_config),
        (batches, "pad", _without_numbers(batches.pad, fake)),
        (batches, "pack", _without_numbers(batches.pack, fake)),
        (torch.utils, "swap_tensors", _take_over),
    ]
    if is_cuda:
        stand_ins += [
            (torch.nn.functional, "scaled_dot_product_attention", _attend_as_one_kernel),
            (attention.PackedAttention, "__call__", _attend_as_on_cuda),
            (modelling, "_can_share", lambda _: False),
        ]
    with contextlib.ExitStack() as stack:
        for owner, name, stand_in in stand_ins:
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        # What was made without numbers must not serve a later pass that has them.
        stack.callback(attention.large_future.cache_clear)
        yield


def _take_over(old: torch.Tensor, new: torch.Tensor) -> None:
    """Change the type of a parameter: torch would swap the objects, which others point at."""
    old.data = new.data


def _attend_as_on_cuda(
    self: Any, _: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any
) -> Any:
    scale = query.shape[-1] ** -0.5
    return attention._attend_by_kernel(query, key, value, scale, self.layout.row_lengths), None


def _attend_as_one_kernel(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    """Take what a fused kernel on a GPU keeps: its inputs, its output, one fp32 number a row."""
    return _FusedAttention.apply(query, key, value)


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        query, key, value, *_rest = ctx.saved_tensors
        query.new_empty(query.shape, dtype=torch.float32)  # the gradient is summed in fp32
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _row(index: int, num_tokens: int, num_labels: int) -> Row:
    tokens = [1 + (index + place) % 7 for place in range(num_tokens)]
    num_ignored = num_tokens - num_labels
    return Row(f"row-{index}", tokens, [IGNORED] * num_ignored + tokens[num_ignored:])
