"""Fully sharded data parallel by ``fully_shard``: every process holds a part of everything.

After Zhao et al. 2023, arXiv:2304.11277, in torch's second edition.

The weights of a layer are put together before it computes and parted again after it; gradients are
summed and parted after every pass, so that no process ever holds those of the whole model.
"""

from collections.abc import Mapping
from typing import Any

import torch
from typing_extensions import override

from bakeoff.worker.batches import Batch
from bakeoff.worker.spread import LossOf, Spread, Tensors


class FsdpSpread(Spread):
    """One group of weights for each layer, and one for all outside of layers."""

    name = "fsdp"
    loads_on_host = True

    @override
    def loss(self, batch: Batch, divisor: int) -> torch.Tensor:
        return self._module(batch, divisor)

    @override
    def update(self) -> torch.Tensor:
        norm: Any = super().update()
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    @torch.no_grad()
    @override
    def restore(self, weights: Tensors, optimizer: dict[str, Any]) -> None:
        by_number = self._parameters_by_number()
        for name, parameter in self.trainee.trained.items():
            parameter.copy_(_part_of(weights[name], parameter))
        state = {
            number: {key: _part_of(value, by_number[number]) for key, value in found.items()}
            for number, found in optimizer["state"].items()
        }
        self.optimizer.load_state_dict({**optimizer, "state": state})

    @override
    def state_to_save(self) -> Tensors:
        return self._state_to_save()

    @override
    def facts(self) -> Mapping[str, Any]:
        return {**super().facts(), "sharded": "weights, gradients, optimiser"}

    @override
    def _wrap(self) -> torch.optim.Optimizer:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.group.num_processes,))
        self._module: Any = LossOf(self.trainee)
        for layer in layers_of(self.trainee.model):
            fully_shard(layer, mesh=mesh)
        fully_shard(self._module, mesh=mesh)
        return self._build_optimizer()

    @override
    def _whole(self, value: Any) -> Any:
        """On the host, and of the other processes nothing."""
        if not isinstance(value, torch.Tensor):
            return value
        whole: Any = value.full_tensor() if hasattr(value, "full_tensor") else value
        return whole.detach().cpu() if self.group.is_main else whole.new_empty(0)

    def _parameters_by_number(self) -> dict[int, torch.Tensor]:
        """As the optimiser's state numbers them."""
        of_groups = (p for group in self.optimizer.param_groups for p in group["params"])
        return dict(enumerate(of_groups))


def layers_of(model: Any) -> list[torch.nn.Module]:
    """The decoder layers, by the class names that the architecture gives for this purpose."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in names]


def _part_of(whole: Any, like: Any) -> Any:
    """This process's part of a tensor that all processes have; numbers of steps are not parted."""
    if not isinstance(whole, torch.Tensor) or whole.dim() == 0 or not hasattr(like, "placements"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    moved = whole.to(like.device)
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)
