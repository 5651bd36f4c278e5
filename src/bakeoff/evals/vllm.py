"""Engine `vllm`: vLLM in its own environment, adapters beside the weights."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from bakeoff.evals.harness import HarnessEngine
from bakeoff.interfaces import Inputs
from bakeoff.schema.plan import EvalPlan, Launch, Problem

_ENVIRONMENT = {
    # One process: its memory is the run's, and it ends with the run.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VllmEngine(HarnessEngine):
    """The harness's vLLM class; scheduling, kernels and rounding are vLLM's own."""

    requirements: ClassVar[tuple[str, ...]] = ("lm-eval>=0.4.13", "vllm>=0.16")
    environment: ClassVar[str | None] = "vllm"

    @override
    def check(self, plan: EvalPlan) -> Sequence[Problem]:
        return [*super().check(plan), *_unsupported(plan)]

    @override
    def render(self, plan: EvalPlan, inputs: Inputs, run_dir: Path) -> Launch:
        launch = super().render(plan, inputs, run_dir)
        return launch.model_copy(update={"env": {**launch.env, **_ENVIRONMENT}})


def _unsupported(plan: EvalPlan) -> Iterator[Problem]:
    if plan.merged:
        yield Problem(
            key="evaluate.merged",
            message="vLLM loads an adapter beside the weights and does not merge it",
            hint="leave it out, or set `evaluate.engine: hf`",
        )
    if plan.device == "mps":
        yield Problem(
            key="device",
            message="vLLM does not run on Apple's GPUs",
            hint="set `evaluate.engine: builtin`",
        )
