"""Backend `builtin`: the trainer in ``bakeoff.worker``, plain PyTorch with PEFT."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.interfaces import Inputs
from bakeoff.schema.events import Event, read_events_file
from bakeoff.schema.plan import Dialect, Distribution, Launch, Problem, TrainPlan
from bakeoff.schema.results import TrainResult
from bakeoff.worker_launch import OFFLINE, spread_of, worker_launch

_ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "true", **OFFLINE}
_LAYERS_COME_AND_GO = {
    # A heap that keeps everything is cut to pieces where whole layers are put together and parted
    # again (FSDP, ZeRO-3): 4 of its 5 GB were free. So large blocks are mapped each for itself, in
    # large pages, since getting them back takes time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class BuiltinBackend:
    """Translates a training into a job of ``bakeoff.worker.train``."""

    requirements: ClassVar[tuple[str, ...]] = (
        "peft>=0.18",
        "safetensors>=0.5",
        "torch>=2.8",
        "transformers>=5",
    )
    environment: ClassVar[str | None] = None
    accepts: ClassVar[frozenset[Dialect]] = frozenset(
        {Dialect.PLAIN, Dialect.TORCHRUN, Dialect.DEEPSPEED_JSON}
    )

    def check(self, plan: TrainPlan) -> Sequence[Problem]:
        problems = []
        if plan.method == "lora" and plan.lora is None:
            problems.append(
                Problem(
                    key="lora",
                    message="the method `lora` needs the settings of the adapter",
                    hint="give `lora:`, or set `method: full`",
                )
            )
        return [*problems, *_unsupported(plan)]

    def render(self, plan: TrainPlan, inputs: Inputs, run_dir: Path) -> Launch:
        told = inputs.distribution
        world = told.world if told is not None else None
        job = _job(plan, inputs)
        env = {**_ENVIRONMENT, **(_LAYERS_COME_AND_GO if _gathers_layers(told) else {})}
        return worker_launch("train", job, python=inputs.python, env=env, world=world)

    def read_events(self, run_dir: Path) -> Iterable[Event]:
        return read_events_file(run_dir / "events.jsonl")

    def read_result(self, run_dir: Path) -> TrainResult:
        return TrainResult.model_validate_json(
            (run_dir / "result.json").read_text(encoding="utf-8")
        )


def _gathers_layers(told: Distribution | None) -> bool:
    """Whether a process holds a part of each layer, and the whole of it only while it computes."""
    if told is None:
        return False
    if told.dialect is Dialect.TORCHRUN:
        return bool(told.settings["kind"] == "fsdp")
    return bool(told.settings["zero_optimization"]["stage"] == 3)


def reference_launch(plan: TrainPlan, inputs: Inputs) -> Launch:
    """The loss before the first step, whatever backend the plan is for; leaves ``result.json``."""
    return worker_launch("reference", _job(plan, inputs), python=inputs.python, env=_ENVIRONMENT)


def trace_launch(
    plan: TrainPlan, inputs: Inputs, *, rows: Sequence[tuple[int, int]], target: str
) -> Launch:
    """One step of any backend's training without numbers; leaves ``result.json``.

    Args:
        plan: The training.
        inputs: Where the model's configuration lies.
        rows: Tokens and label tokens of each row of one optimiser step.
        target: `cpu` or `cuda`.
    """
    # What a step allocates depends on nothing that the paths and the seed say.
    job = {**_job(plan.model_copy(update={"device": "cpu", "seed": 0}), inputs)}
    job |= {"backend": plan.backend, "target": target, "rows": [list(row) for row in rows]}
    return worker_launch("trace", job, python=inputs.python, env=_ENVIRONMENT)


def _job(plan: TrainPlan, inputs: Inputs) -> dict[str, Any]:
    return {
        "model_dir": str(inputs.model_dir),
        "data_dir": str(inputs.data_dir),
        "method": plan.method,
        "seed": plan.seed,
        "device": plan.device,
        "trust_remote_code": plan.trust_remote_code,
        "train": plan.train.model_dump(mode="json"),
        "lora": plan.lora.model_dump(mode="json")
        if plan.method == "lora" and plan.lora is not None
        else None,
        "freeze": plan.freeze.model_dump(mode="json") if plan.freeze is not None else None,
        "watch": plan.watch and plan.watch.model_dump(mode="json"),
        "probe": inputs.probe,
        "spread": spread_of(inputs.distribution),
    }


def _unsupported(plan: TrainPlan) -> Iterator[Problem]:
    if plan.method == "qlora":
        yield Problem(
            key="method",
            message="the built-in trainer does not train over 4-bit weights",
            hint="set `method: lora`, or `backend: llamafactory` or `swift`",
        )
    if plan.method == "lora" and plan.lora is not None and plan.lora.init == "pissa":
        yield Problem(
            key="lora.init",
            message="the built-in trainer does not know PiSSA",
            hint="set `lora.init: default`, or `backend: llamafactory` or `swift`",
        )
    for key in plan.extra:
        yield Problem(
            key=f"extra.builtin.{key}",
            message="the built-in trainer has no settings beside the recipe's",
            hint="leave it out",
        )
