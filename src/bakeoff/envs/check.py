"""The proof that an environment works: it trains a tiny model for two steps."""

import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError
from bakeoff.base.files import read_json, write_files, write_text_atomic
from bakeoff.base.process import log_tail, now_utc
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.child import Report, follow, isolated
from bakeoff.envs.installed import CHECK
from bakeoff.envs.resolve import Environment
from bakeoff.envs.spec import EnvSpec, Trial
from bakeoff.schema.environment import EnvironmentCheck
from bakeoff.schema.plan import Launch
from bakeoff.worker_launch import OFFLINE, worker_launch

_NUM_STEPS = 2
_LIMIT_SECONDS = 900.0
_ROWS = tuple(
    (f"Question: Tom has {a} apples and buys {a + 1} more. How many?\nAnswer:", f" {2 * a + 1}")
    for a in range(8)
)


@dataclass(frozen=True)
class _Run:
    """Where a check runs, and how its processes are started."""

    folder: Path
    environment: Mapping[str, str]
    report: Report

    def do(self, launch: Launch, what: str) -> float:
        """Seconds that it took.

        Raises:
            RunError: It failed; holds the end of its log.
        """
        self.report(what)
        write_files(self.folder, launch.files)
        log = self.folder / "log.txt"
        began = time.monotonic()
        code = follow(
            launch.argv,
            env={**self.environment, **launch.env},
            cwd=self.folder,
            log=log,
            report=lambda _: None,
            limit_seconds=_LIMIT_SECONDS,
        )
        if code != 0:
            raise RunError(f"{what}: exit code {code}", log_tail=log_tail(log, num_lines=30))
        return time.monotonic() - began


def check(
    environment: Environment, variables: Mapping[str, str], report: Report
) -> EnvironmentCheck:
    """Import the framework and train with it; noted in the environment's folder if it is ours.

    Args:
        environment: What to check.
        variables: Environment variables of this process.
        report: Told what goes on.
    """
    spec = ENVIRONMENTS.get(environment.name)
    found: dict[str, Any] = {"device": None, "import_seconds": None, "train_seconds": None}
    losses: tuple[float, ...] = ()
    error = None
    with tempfile.TemporaryDirectory(prefix="bakeoff-check-") as name:
        folder = Path(name).resolve()
        run = _Run(folder, _variables(variables, folder), report)
        try:
            found.update(_make_model(run, environment, spec))
            if spec.answers:
                found["train_seconds"] = _answer(run, environment, spec)
            else:
                found["train_seconds"], losses = _train(run, environment, spec)
        except RunError as failure:
            error = f"{failure}\n{failure.log_tail}".strip()
    done = EnvironmentCheck(
        name=environment.name,
        python=str(environment.python),
        ok=error is None,
        error=error,
        versions=dict(environment.versions),
        differences=environment.differences,
        losses=losses,
        checked_at=now_utc(),
        **found,
    )
    if environment.folder is not None:
        write_text_atomic(environment.folder / CHECK, done.model_dump_json(indent=2) + "\n")
    return done


def _make_model(run: _Run, environment: Environment, spec: EnvSpec) -> dict[str, Any]:
    job = {
        "model_dir": str(run.folder / "model"),
        "texts": [q + a for q, a in _ROWS],
        # vLLM's kernels know no smaller heads.
        "head_size": 64 if spec.answers else 8,
    }
    launch = worker_launch(
        "trial", {**job, "imports": spec.imports}, python=environment.python, env={}
    )
    run.do(launch, f"importing {spec.distribution}")
    result: dict[str, Any] = read_json(run.folder / "result.json")
    return result


def _trial(run: _Run, environment: Environment, output: Path) -> Trial:
    return Trial(
        python=environment.python,
        model_dir=run.folder / "model",
        rows=_ROWS,
        output_dir=output,
        num_steps=_NUM_STEPS,
    )


def _answer(run: _Run, environment: Environment, spec: EnvSpec) -> float:
    output = run.folder / "answered"
    launch = spec.trial(_trial(run, environment, output))
    seconds = run.do(launch, f"answering {len(_ROWS)} questions with {spec.distribution}")
    counts = read_json(output / "answers.json")
    if len(counts) != len(_ROWS) or not all(counts):
        raise RunError(
            f"{spec.distribution} ended without an error, but with {counts} for the tokens of "
            f"{len(_ROWS)} answers",
            log_tail=log_tail(run.folder / "log.txt", num_lines=30),
        )
    return seconds


def _train(run: _Run, environment: Environment, spec: EnvSpec) -> tuple[float, tuple[float, ...]]:
    output = run.folder / "trained"
    launch = spec.trial(_trial(run, environment, output))
    seconds = run.do(launch, f"training {_NUM_STEPS} steps with {spec.distribution}")
    losses = _losses(output)
    whole = len(losses) == _NUM_STEPS and all(math.isfinite(loss) for loss in losses)
    if not whole or not any(output.rglob("adapter_model.safetensors")):
        raise RunError(
            f"{spec.distribution} ended without an error, but not with {_NUM_STEPS} losses and an "
            f"adapter (losses: {list(losses)})",
            log_tail=log_tail(run.folder / "log.txt", num_lines=30),
        )
    return seconds, losses


def _losses(output: Path) -> tuple[float, ...]:
    """As the trainer of transformers notes them, on which the frameworks build."""
    for path in sorted(output.rglob("trainer_state.json")):
        history = json.loads(path.read_text(encoding="utf-8"))["log_history"]
        return tuple(float(entry["loss"]) for entry in history if "loss" in entry)
    return ()


def _variables(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Offline, on one device, with no cache of the person's filled by the check."""
    devices = given.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return {
        **isolated(given),
        **OFFLINE,
        "CUDA_VISIBLE_DEVICES": devices[0],
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "MODELSCOPE_CACHE": str(folder / "modelscope"),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUTF8": "1",
    }
