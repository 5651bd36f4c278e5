"""Weights, gradients and optimiser parted by torch itself (``fully_shard``, called FSDP2).

Zhao et al. 2023, arXiv:2304.11277.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bakeoff.schema.plan import Dialect, Problem, TrainPlan, World


class Fsdp:
    speaks: ClassVar[frozenset[Dialect]] = frozenset({Dialect.TORCHRUN, Dialect.HF_FSDP})
    requirements: ClassVar[tuple[str, ...]] = ()

    def check(self, world: World) -> Sequence[Problem]:
        return []

    def tell(self, dialect: Dialect, plan: TrainPlan) -> Mapping[str, Any]:
        if dialect is Dialect.TORCHRUN:
            return {"kind": "fsdp"}
        return {
            "fsdp": "full_shard auto_wrap",
            "fsdp_config": {
                "fsdp_version": 2,
                "reshard_after_forward": True,
                "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
                "cpu_ram_efficient_loading": True,
                "state_dict_type": "FULL_STATE_DICT",
                "activation_checkpointing": False,
            },
        }
