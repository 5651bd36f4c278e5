"""DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054), told by its own JSON.

In bf16 DeepSpeed keeps a second copy of the trained weights in fp32 and steps that; weights and
gradients stay bf16. The record says so (``master_dtype``).
"""

from collections.abc import Mapping
from typing import Any

import torch
from typing_extensions import override

from bakeoff.worker.batches import Batch
from bakeoff.worker.deepspeed_module import import_deepspeed
from bakeoff.worker.spread import LossOf, Spread, Tensors
from bakeoff.worker.spread_fsdp import layers_of

_MOMENTS = ("exp_avg", "exp_avg_sq")
_PARTED = {1: "optimiser", 2: "gradients, optimiser", 3: "weights, gradients, optimiser"}


class DeepSpeedSpread(Spread):
    """One of its stages, with or without offload."""

    name = "deepspeed"
    loads_on_host = True

    @property
    @override
    def param_groups(self) -> list[dict[str, Any]]:
        return self._engine.optimizer.param_groups

    @override
    def loss(self, batch: Batch, divisor: int) -> torch.Tensor:
        return self._engine(batch, divisor)

    @override
    def update(self) -> torch.Tensor:
        self._engine.step()
        return torch.as_tensor(self._engine.get_global_grad_norm(), device=self.device)

    @override
    def weights(self) -> Tensors:
        from deepspeed.utils import safe_get_full_fp32_param

        return {
            name: self._kept(safe_get_full_fp32_param(value))
            for name, value in self.trainee.trained.items()
        }

    @override
    def optimizer_state(self) -> dict[str, Any]:
        """In the numbering of the optimiser that one process would have."""
        from deepspeed.utils import safe_get_full_optimizer_state

        self._link_moments()
        state: dict[int, dict[str, Any]] = {}
        for number, parameter in enumerate(self._in_order):
            moments = {
                key: self._kept(safe_get_full_optimizer_state(parameter, key)) for key in _MOMENTS
            }
            state[number] = {"step": torch.tensor(float(self._engine.global_steps)), **moments}
        return {**self._untouched, "state": state}

    @torch.no_grad()
    @override
    def restore(self, weights: Tensors, optimizer: dict[str, Any]) -> None:
        steps = self._make_state(optimizer["state"])
        self._engine.global_steps = int(steps)
        for name, parameter in self.trainee.trained.items():
            self._set(parameter, weights[name])
        for number, parameter in enumerate(self._in_order):
            for key in _MOMENTS:
                self._set(parameter, optimizer["state"][number][key], key)

    @override
    def state_to_save(self) -> Tensors | None:
        return self._state_to_save() if self._stage == 3 else None

    @override
    def facts(self) -> Mapping[str, Any]:
        offload = self._settings["zero_optimization"].get("offload_optimizer", {}).get("device")
        return {
            **super().facts(),
            "master_dtype": "float32",
            "optimizer_dtype": "float32",
            "sharded": _PARTED[self._stage],
            "offloaded_to": offload,
        }

    @override
    def _wrap(self) -> torch.optim.Optimizer:
        deepspeed = import_deepspeed(self.device.type)
        self._stage = int(self._settings["zero_optimization"]["stage"])
        module = LossOf(self.trainee)
        self._mark_for_gathering(module)
        optimizer = self._build_optimizer()
        self._in_order = [p for group in optimizer.param_groups for p in group["params"]]
        self._untouched = optimizer.state_dict()
        deepspeed.init_distributed(auto_mpi_discovery=False, dist_init_required=False)
        self._engine, _, _, _ = deepspeed.initialize(
            model=module, optimizer=optimizer, config=self._settings, dist_init_required=False
        )
        return optimizer

    def _mark_for_gathering(self, module: LossOf) -> None:
        """Stage 3 puts weights together for the modules that it sees called.

        Fused parts call no modules inside of a layer, so a layer gets all of its weights at once;
        the loss reads the weights of the output layer itself.
        """
        if self._stage < 3:
            return
        from deepspeed.runtime.zero import register_external_parameter
        from deepspeed.utils import set_z3_leaf_modules

        classes = {type(layer) for layer in layers_of(self.trainee.model)}
        if classes:
            set_z3_leaf_modules(self.trainee.model, list(classes))
        head = self.trainee.model.get_output_embeddings()
        for parameter in head.parameters():
            register_external_parameter(module, parameter)
        # Of a layer whose inputs need no gradient DeepSpeed thinks too early that it is done.
        self.trainee.model.enable_input_require_grads()

    def _make_state(self, wanted: Mapping[int, Mapping[str, Any]]) -> float:
        """Moments of zero, which DeepSpeed makes in the first step only; the number of steps."""
        zero = self._engine.optimizer
        parts = (
            zero.fp32_partitioned_groups_flat
            if self._stage == 3
            else zero.single_partition_of_fp32_groups
        )
        steps = float(next(iter(wanted.values()))["step"])
        for part in parts:
            moments = {key: torch.zeros_like(part) for key in _MOMENTS}
            zero.optimizer.state[part] = {"step": torch.tensor(steps), **moments}
        self._link_moments()
        return steps

    def _link_moments(self) -> None:
        """Let DeepSpeed find the moments of each weight.

        It looks for them once, after the step of its first group of weights, when those of the
        other groups are not there yet.
        """
        if self._stage < 3:
            self._engine.optimizer._hp_optimizer_states_linked = False
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()

    def _set(self, parameter: Any, whole: torch.Tensor, key: str | None = None) -> None:
        """This process's part of a trained weight (no ``key``) or of one of its moments."""
        import deepspeed.utils as tools

        whole = whole.to(self.device, torch.float32)
        if self._stage < 3:
            if key is None:
                parameter.copy_(whole)
                tools.safe_set_full_fp32_param(parameter, whole)
            else:
                tools.safe_set_full_optimizer_state(parameter, whole, key)
            return
        size = parameter.ds_tensor.ds_numel
        padded = torch.nn.functional.pad(
            whole.flatten(), (0, size * self.group.num_processes - whole.numel())
        )
        part = padded[self.group.rank * size :][:size]
        if key is None:
            parameter.ds_tensor.copy_(part)
            tools.safe_set_local_fp32_param(parameter, part)
        else:
            tools.safe_set_local_optimizer_state(parameter, part, key)

    @override
    def _go_back(self, loss: torch.Tensor, *, is_last: bool) -> None:
        self._engine.set_gradient_accumulation_boundary(is_last)
        self._engine.backward(loss * self.group.num_processes, scale_wrt_gas=False)
        if not is_last:
            self._engine.step()

    def _kept(self, value: torch.Tensor | None) -> torch.Tensor:
        if value is None or not self.group.is_main:
            return torch.empty(0)
        return value.detach().cpu().clone()
