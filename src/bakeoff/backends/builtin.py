"""Backend `builtin`: the trainer in ``bakeoff.worker``, plain PyTorch with PEFT."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from bakeoff.interfaces import Inputs
from bakeoff.schema.events import Event, read_events_file
from bakeoff.schema.plan import Dialect, Launch, Problem, TrainPlan
from bakeoff.schema.results import TrainResult

_WORKER = Path(__file__).resolve().parents[1] / "worker" / "__main__.py"
_KEEP_BYTES = str(1 << 32)

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    # Threads that wait for work by spinning make a step ten times slower as soon as anything else
    # runs on the machine.
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONUTF8": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TQDM_DISABLE": "1",
    # glibc returns every large tensor to the system when it is freed; getting it back, page by
    # page, takes a fifth of a training step on a CPU. Other systems ignore these.
    "MALLOC_MMAP_THRESHOLD_": _KEEP_BYTES,
    "MALLOC_TRIM_THRESHOLD_": _KEEP_BYTES,
}


class BuiltinBackend:
    """Translates a training into a job of ``bakeoff.worker.train``."""

    requirements: ClassVar[tuple[str, ...]] = (
        "peft>=0.18",
        "safetensors>=0.5",
        "torch>=2.8",
        "transformers>=5",
    )
    accepts: ClassVar[frozenset[Dialect]] = frozenset({Dialect.PLAIN})

    def check(self, plan: TrainPlan) -> Sequence[Problem]:
        problems = []
        if plan.world.num_nodes * plan.world.devices_per_node > 1:
            problems.append(
                Problem(
                    key="world_size",
                    message="the built-in trainer uses one device",
                    hint="set `world_size: 1`",
                )
            )
        if plan.method == "lora" and plan.lora is None:
            problems.append(
                Problem(
                    key="lora",
                    message="the method `lora` needs the settings of the adapter",
                    hint="give `lora:`, or set `method: full`",
                )
            )
        return problems

    def render(self, plan: TrainPlan, inputs: Inputs, run_dir: Path) -> Launch:
        job = {
            "model_dir": str(inputs.model_dir),
            "data_dir": str(inputs.data_dir),
            "method": plan.method,
            "seed": plan.seed,
            "device": plan.device,
            "train": plan.train.model_dump(mode="json"),
            "lora": plan.lora.model_dump(mode="json")
            if plan.method == "lora" and plan.lora is not None
            else None,
        }
        return Launch(
            argv=(str(inputs.python), str(_WORKER), "train", "job.json"),
            env=_ENVIRONMENT,
            files={PurePosixPath("job.json"): json.dumps(job, ensure_ascii=False, indent=2) + "\n"},
        )

    def read_events(self, run_dir: Path) -> Iterable[Event]:
        return read_events_file(run_dir / "events.jsonl")

    def read_result(self, run_dir: Path) -> TrainResult:
        return TrainResult.model_validate_json(
            (run_dir / "result.json").read_text(encoding="utf-8")
        )
