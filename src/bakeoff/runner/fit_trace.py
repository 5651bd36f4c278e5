"""Traces of training steps: a job of the worker, its answer remembered."""

from collections.abc import Sequence
from pathlib import Path

import bakeoff
from bakeoff.backends.builtin import trace_launch
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import read_json
from bakeoff.base.hashing import digest_json, short_id
from bakeoff.envs.child import isolated
from bakeoff.envs.resolve import resolve
from bakeoff.interfaces import Inputs
from bakeoff.predict.tape import Tape
from bakeoff.runner.environments import is_installed
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EnvironmentStep, TrainPlan

Rows = Sequence[tuple[int, int]]
"""Tokens and label tokens of each row of one optimiser step."""

_TRACED = ("lora", "full", "freeze")
"""Methods whose step can be run without numbers; a 4-bit matrix has kernels of its own."""


def trace_of(
    plan: TrainPlan,
    rows: Rows,
    *,
    study: PreparedStudy,
    workspace: Workspace,
    model_dir: Path,
    target: str,
) -> Tape | None:
    """The tape of the real step; None where it cannot be had (no environment, a failing trace).

    Args:
        plan: The training.
        rows: Of one step, a pass after the other.
        study: Its study.
        workspace: Where things lie.
        model_dir: With the model's configuration.
        target: `cpu` or `cuda`: whose kernels are taken.
    """
    python = _python_of(plan, study, workspace)
    if plan.method not in _TRACED or python is None:
        return None
    inputs = Inputs(python=python, model_dir=model_dir.resolve(), data_dir=model_dir.resolve())
    launch = trace_launch(plan, inputs, rows=rows, target=target)
    name = short_id([list(launch.files.values()), _code_digest(), str(python)])
    folder = workspace.cache_dir / "fit" / f"trace-{name}"
    result = folder / "result.json"
    if not result.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        inherited = workspace.environment
        own = python == workspace.python
        try:
            run_worker(launch, folder, environment=inherited if own else isolated(inherited))
        except RunError:
            return None  # its log stays there; the formulas answer
    raw = read_json(result)
    flat = raw["events"]
    return Tape(
        events=list(zip(flat[::2], flat[1::2], strict=True)),
        parts=raw["parts"],
        moments=[(index, name) for index, name in raw["moments"]],
    )


def _python_of(plan: TrainPlan, study: PreparedStudy, workspace: Workspace) -> Path | None:
    if plan.environment_id is None:
        return workspace.python
    step = next(
        s
        for s in study.plan.steps
        if isinstance(s, EnvironmentStep) and s.id == plan.environment_id
    )
    try:
        if not is_installed(step, workspace.cache_dir):
            return None
        found = resolve(
            step.name, step.given, cache_dir=workspace.cache_dir, base_dir=study.base_dir
        )
    except UserError:
        return None
    return found.python


def _code_digest() -> str:
    """Of the worker's code: a trace follows it."""
    folder = Path(bakeoff.__file__).parent / "worker"
    return digest_json([path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))])
