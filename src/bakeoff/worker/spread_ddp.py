"""Distributed data parallel (Li et al. 2020, arXiv:2006.15704): every process holds everything."""

import contextlib

import torch
from typing_extensions import override

from bakeoff.worker.batches import Batch
from bakeoff.worker.spread import LossOf, Spread


class DdpSpread(Spread):
    """torch's own; gradients are summed in buckets while the backward pass goes on."""

    name = "ddp"

    @override
    def loss(self, batch: Batch, divisor: int) -> torch.Tensor:
        return self._ddp(batch, divisor)

    @override
    def backward(
        self, batch: Batch, divisor: int, *, counts: bool = True, is_last: bool
    ) -> torch.Tensor:
        # Whether a backward pass exchanges is decided by the forward pass before it.
        with contextlib.nullcontext() if is_last else self._ddp.no_sync():
            return super().backward(batch, divisor, counts=counts, is_last=is_last)

    @override
    def _wrap(self) -> torch.optim.Optimizer:
        self._ddp = torch.nn.parallel.DistributedDataParallel(
            LossOf(self.trainee), broadcast_buffers=False, gradient_as_bucket_view=True
        )
        return self._build_optimizer()
