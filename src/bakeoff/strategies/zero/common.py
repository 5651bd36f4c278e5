"""What the stages of ZeRO have in common (Rajbhandari et al. 2020, arXiv:1910.02054).

One JSON for every backend: each value that decides memory, time or result is written out, so that
no framework fills in its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bakeoff.schema.plan import Dialect, Problem, TrainPlan, World

BUCKET_NUMBERS = 50_000_000
"""Gradients that are summed at a time: each process keeps one or two such buffers. DeepSpeed's own
choice, ten times as many, takes more memory than sharding saves with a small model."""


class Zero:
    """One stage; what is offloaded lies in the memory of the host."""

    speaks: ClassVar[frozenset[Dialect]] = frozenset({Dialect.DEEPSPEED_JSON})
    requirements: ClassVar[tuple[str, ...]] = ("deepspeed>=0.18",)
    stage: ClassVar[int]
    offloads: ClassVar[tuple[str, ...]] = ()
    """Of `optimizer`, `param`."""

    def check(self, world: World) -> Sequence[Problem]:
        return []

    def tell(self, dialect: Dialect, plan: TrainPlan) -> Mapping[str, Any]:
        train = plan.train
        return {
            "train_micro_batch_size_per_gpu": train.batch_size,
            "gradient_accumulation_steps": train.gradient_accumulation,
            "gradient_clipping": train.max_grad_norm,
            # Whatever the recipe calls bf16: DeepSpeed keeps its copy of the weights in fp32.
            "bf16": {"enabled": train.precision != "fp32"},
            # The optimiser is everybody's own AdamW, so that all do the same and none compiles.
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "zero_optimization": {"stage": self.stage, **self._sharing()},
        }

    def _sharing(self) -> dict[str, Any]:
        sharing: dict[str, Any] = {
            "overlap_comm": True,
            "contiguous_gradients": True,
            "reduce_scatter": True,
            "reduce_bucket_size": BUCKET_NUMBERS,
            "allgather_bucket_size": BUCKET_NUMBERS,
        }
        if self.stage == 3:
            sharing |= {
                "stage3_prefetch_bucket_size": BUCKET_NUMBERS,
                "stage3_param_persistence_threshold": 100_000,
                "stage3_max_live_parameters": 1_000_000_000,
                "stage3_max_reuse_distance": 1_000_000_000,
                "stage3_gather_16bit_weights_on_model_save": True,
            }
        for what in self.offloads:
            sharing[f"offload_{what}"] = {"device": "cpu", "pin_memory": True}
        return sharing
