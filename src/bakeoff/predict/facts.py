"""What each trainer does that memory depends on: a training of a plan as ``Work``.

One row a trainer; what is written here is what the backend's translation sets
(``backends/frameworks/*.py``) and what the framework does with it (transformers' trainer, PEFT).
"""

from dataclasses import dataclass, replace

from bakeoff.base.cores import num_cores
from bakeoff.predict.work import AdapterPath, LossPath, OptimizerPath, Shards, Work
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.prediction import Gpu, ModelShape

_MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class TrainerFacts:
    optimizer: OptimizerPath
    """On CUDA; torch has no ``foreach`` on a CPU and goes through the parameters one by one."""

    loss: LossPath
    adapter: AdapterPath
    packs_rows: bool
    """Rows stand one after the other in one line; else they are filled up to the longest."""

    host_libraries_mib: int
    """What a training on a CPU adds to its imported process beside tensors: code that is loaded at
    its first use, compiled kernels, rows and their tokens, the trainer's own objects. Measured with
    a model of no size (two layers of 32)."""

    gives_back: bool
    """On a CPU, whether malloc is as it comes (``bakeoff.predict.heap``)."""


_ON_TRANSFORMERS = TrainerFacts(
    optimizer="foreach",
    loss="model",
    adapter="peft",
    packs_rows=False,
    host_libraries_mib=100,
    gives_back=True,
)
"""What a trainer does that leaves the step to transformers and PEFT."""

TRAINERS = {
    "builtin": TrainerFacts(
        optimizer="fused",
        loss="labels",
        adapter="fast",
        packs_rows=True,
        host_libraries_mib=100,
        gives_back=False,
    ),
    "llamafactory": _ON_TRANSFORMERS,
    "swift": _ON_TRANSFORMERS,
}

CONTEXT_BYTES = {
    "pascal": 250, "volta": 310, "turing": 280, "ampere": 420, "ada": 430, "hopper": 520,
    "blackwell": 560,
}  # fmt: skip
"""MiB that the driver shows for a process beyond what torch holds: the CUDA context and the kernels
loaded so far (CUDA 12 loads each when it is first used)."""

_ZERO_BUCKET_NUMBERS = 50_000_000
"""That of `bakeoff.strategies.zero`."""

_MAX_LANES_OF_WEIGHTS = 2
"""That of ``bakeoff.worker.lanes``."""

_HOPPER_WORKSPACE = 32 * _MIB


def facts_of(backend: str) -> TrainerFacts:
    return TRAINERS.get(backend, _ON_TRANSFORMERS)


def work_of(
    plan: TrainPlan,
    shape: ModelShape,
    *,
    tokens: int,
    label_share: float = 1.0,
    gpu: Gpu | None,
) -> Work:
    """The training of ``plan`` on a GPU, or on a CPU where ``gpu`` is None.

    Args:
        plan: Which training.
        shape: Of its model.
        tokens: Length of the rows of its largest pass.
        label_share: Label tokens over tokens.
        gpu: Where it runs.
    """
    facts = facts_of(plan.backend)
    is_mixed = plan.train.precision == "bf16-mixed"
    adapts = plan.lora is not None and plan.method in ("lora", "qlora")
    packs = facts.packs_rows and not is_mixed
    weight = 2 if plan.train.precision == "bf16" else 4
    shards = _shards(plan, gpu)
    sums = packs and not adapts and plan.strategy == "single" and not shape.experts
    return Work(
        shape=shape,
        rows=plan.train.batch_size,
        tokens=tokens,
        label_share=label_share,
        accumulation=plan.train.gradient_accumulation,
        trains_all=plan.method == "full",
        last_layers=plan.freeze.trainable_layers if plan.freeze is not None else None,
        rank=plan.lora.rank if adapts and plan.lora else 0,
        targets=_targets(plan),
        dropout=plan.lora.dropout if adapts and plan.lora else 0.0,
        is_dora=bool(adapts and plan.lora and plan.lora.use_dora),
        weight_bytes=weight,
        compute_bytes=4 if plan.train.precision == "fp32" else 2,
        # DeepSpeed steps its fp32 copy of the weights, and its moments are fp32 as well.
        state_bytes=4 if shards.master_copy else weight,
        quantised_bits=4 if plan.method == "qlora" else shape.quantised_bits,
        checkpointing=plan.train.gradient_checkpointing or _is_lean(plan),
        attention="flash" if gpu is not None or not packs else "rows",
        repeats_keys=not packs and plan.train.batch_size > 1,
        adapter=_adapter_path(plan, facts, is_mixed=is_mixed),
        fuses_layers=facts.adapter == "fast" and not is_mixed,
        sums_gradients=sums,
        gradient_lanes=_gradient_lanes(plan) if sums and gpu is None else 1,
        loss=facts.loss,
        optimizer=_optimizer(plan, facts, gpu),
        shards=shards,
        workspace_bytes=_workspace(gpu),
        host_libraries_mib=facts.host_libraries_mib,
        gives_back=facts.gives_back,
    )


def _gradient_lanes(plan: TrainPlan) -> int:
    """As ``bakeoff.worker.modelling`` counts them; with bf16 on a CPU without it there is one."""
    if _is_lean(plan):
        return 1
    return min(_MAX_LANES_OF_WEIGHTS, plan.train.batch_size, num_cores())


def _is_lean(plan: TrainPlan) -> bool:
    """`train.memory: lean` recomputes activations with every trainer."""
    return getattr(plan.train, "memory", "fast") == "lean"


def _targets(plan: TrainPlan) -> tuple[str, ...] | None:
    if plan.lora is None or isinstance(plan.lora.target_modules, str):
        return None
    return tuple(plan.lora.target_modules)


def _adapter_path(plan: TrainPlan, facts: TrainerFacts, *, is_mixed: bool) -> AdapterPath:
    if is_mixed:
        return "autocast"
    # The built-in trainer leaves dropout and DoRA to PEFT's own layers.
    special = plan.lora is not None and (plan.lora.dropout > 0 or plan.lora.use_dora)
    return "peft" if special else facts.adapter


def _optimizer(plan: TrainPlan, facts: TrainerFacts, gpu: Gpu | None) -> OptimizerPath:
    if plan.train.optimizer == "adamw-8bit":
        return "8bit"
    if facts.optimizer == "foreach" and gpu is None:
        return "loop"
    return facts.optimizer


def _workspace(gpu: Gpu | None) -> int:
    if gpu is None:
        return 0
    newest = gpu.generation in ("hopper", "blackwell")
    return _HOPPER_WORKSPACE if newest else Work.workspace_bytes


def _shards(plan: TrainPlan, gpu: Gpu | None) -> Shards:
    """As our own configurations have it, which take smaller buckets than DeepSpeed's defaults."""
    shards = shards_of(plan.strategy, plan.world.num_processes)
    changes: dict[str, object] = {}
    if shards.bucket_numbers:
        changes["bucket_numbers"] = _ZERO_BUCKET_NUMBERS
    if plan.backend == "builtin":
        changes["gradient_copy"] = False  # its gradients lie in the buckets themselves
    if gpu is None:
        # What is put on the host stays in the memory that a CPU computes in.
        changes |= {"offloads_optimizer": False, "offloads_weights": False}
    return replace(shards, **changes)  # type: ignore[arg-type]


def shards_of(strategy: str, devices: int) -> Shards:
    """What each strategy spreads over ``devices`` (ZeRO: Rajbhandari et al. 2020, figure 1)."""
    if strategy.startswith("zero"):
        stage = int(strategy[4:5])
        return Shards(
            weights=devices if stage >= 3 else 1,
            gradients=devices if stage >= 2 else 1,
            optimizer=devices,
            gathers_layers=stage >= 3,
            bucket_numbers=500_000_000,
            master_copy=True,
            offloads_optimizer="offload" in strategy,
            offloads_weights="offload" in strategy and stage >= 3,
        )
    if strategy == "fsdp":
        return Shards(weights=devices, gradients=devices, optimizer=devices, gathers_layers=True)
    return Shards(gradient_copy=devices > 1)
