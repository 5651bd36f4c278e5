"""How one training is spread over processes: what each holds, and how gradients come together.

Whatever the way, a step is the same: every process goes through its rows, gradients are summed over
all of them (the loss is divided by the label tokens of the whole step), clipped by their common
norm, and AdamW moves the weights. torch's and DeepSpeed's own code takes the mean over processes,
so the loss is multiplied by their number first.
"""

import contextlib
import importlib
from collections.abc import Mapping
from typing import Any

import torch

from bakeoff.worker.batches import Batch
from bakeoff.worker.gradient_sums import GradientSums
from bakeoff.worker.group import Group
from bakeoff.worker.modelling import Trainee
from bakeoff.worker.optimizer import (
    build_optimizer,
    clip_gradients,
    embeddings_of,
    moments_dtype,
)
from bakeoff.worker.settings import TrainJob
from bakeoff.worker.whole import names_to_save, whole_tensors

Tensors = dict[str, torch.Tensor]

_KINDS = {
    "ddp": "bakeoff.worker.spread_ddp:DdpSpread",
    "fsdp": "bakeoff.worker.spread_fsdp:FsdpSpread",
    "deepspeed": "bakeoff.worker.spread_deepspeed:DeepSpeedSpread",
}


class LossOf(torch.nn.Module):
    """Model and loss as one module: what wraps it sees every use of every weight."""

    def __init__(self, trainee: Trainee) -> None:
        super().__init__()
        self.model = trainee.model
        self._trainee = trainee

    def forward(self, batch: Batch, divisor: int) -> torch.Tensor:
        return self._trainee.cross_entropy(batch, divisor)


class Spread:
    """One process that holds everything; the others change what is different with them."""

    name = "single"

    loads_on_host = False
    """Whether the whole model may be too large for a device."""

    def __init__(self, trainee: Trainee, job: TrainJob, group: Group, device: torch.device) -> None:
        """Wrap the model and build its optimiser."""
        self.trainee = trainee
        self.group = group
        self.device = device
        self._job = job
        self._settings = job.spread.settings if job.spread is not None else {}
        self.optimizer = self._wrap()

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of the optimiser: where the learning rate is set."""
        return self.optimizer.param_groups

    def loss(self, batch: Batch, divisor: int) -> torch.Tensor:
        """Of a batch: summed over label tokens, divided by ``divisor``; (,) fp32."""
        return self.trainee.cross_entropy(batch, divisor)

    def backward(
        self, batch: Batch, divisor: int, *, counts: bool = True, is_last: bool
    ) -> torch.Tensor:
        """Forward and backward over a batch.

        Args:
            batch: rows of this process.
            divisor: of the loss.
            counts: whether anything is learned; not where others merely have one batch more.
            is_last: of the step: then the gradients of all processes come together.

        Returns:
            The loss, (,) fp32.
        """
        with self._collecting():
            loss = self.loss(batch, divisor) * float(counts)
        self._go_back(loss, is_last=is_last)
        return loss.detach()

    def update(self) -> torch.Tensor:
        """Clip, step, forget the gradients; the norm over all processes before clipping."""
        max_norm = self._job.train.max_grad_norm
        norm = clip_gradients(list(self.trainee.trained.values()), max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def weights(self) -> Tensors:
        """The trained weights, whole; all must call it, what the others get is not used."""
        return {name: self._whole(value) for name, value in self.trainee.trained.items()}

    def optimizer_state(self) -> dict[str, Any]:
        """As one process would have it, of whole tensors; otherwise like ``weights``."""
        found = self.optimizer.state_dict()
        found["state"] = {
            number: {key: self._whole(value) for key, value in state.items()}
            for number, state in found["state"].items()
        }
        return found

    @torch.no_grad()
    def restore(self, weights: Tensors, optimizer: dict[str, Any]) -> None:
        """Take over what ``weights`` and ``optimizer_state`` gave, of any spread."""
        for name, parameter in self.trainee.trained.items():
            parameter.copy_(weights[name])
        self.optimizer.load_state_dict(optimizer)

    def state_to_save(self) -> Tensors | None:
        """What the artefact holds, whole; None: the model itself has it. All must call it."""
        return None

    def facts(self) -> Mapping[str, Any]:
        """What a person should know about number formats and processes."""
        trained = next(iter(self.trainee.trained.values()))
        kind = str(trained.dtype).removeprefix("torch.")
        moments = moments_dtype(self.optimizer)
        return {"trained_dtype": kind, "master_dtype": kind, "optimizer_dtype": moments or kind}

    def _collecting(self) -> contextlib.AbstractContextManager[None]:
        """Where the gradients of a pass are added up; by autograd where they must meet others'."""
        if self._job.spread is not None:
            return contextlib.nullcontext()
        return GradientSums(self.trainee.trained.values(), in_place=True).collecting()

    def _go_back(self, loss: torch.Tensor, *, is_last: bool) -> None:
        (loss * self.group.num_processes).backward()

    def _wrap(self) -> torch.optim.Optimizer:
        return self._build_optimizer()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        lora = self._job.lora
        return build_optimizer(
            self.trainee.trained,
            self._job.train,
            lora_plus_ratio=lora.lora_plus_ratio if lora is not None else None,
            embeddings=embeddings_of(self.trainee.model),
        )

    def _whole(self, value: Any) -> Any:
        return value.detach() if isinstance(value, torch.Tensor) else value

    def _state_to_save(self) -> Tensors:
        saved = self.trainee.saved
        parts = names_to_save(saved, is_adapter=saved is not self.trainee.model)
        return whole_tensors(parts, keep=self.group.is_main)


def spread_kind(job: TrainJob) -> type[Spread]:
    """The class for a job's way of spreading."""
    if job.spread is None:
        return Spread
    module, _, name = _KINDS[job.spread.kind].partition(":")
    return getattr(importlib.import_module(module), name)
