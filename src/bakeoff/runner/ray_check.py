"""What a Ray cluster has and lacks for bakeoff, machine by machine."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bakeoff import __version__
from bakeoff.runner.on_ray import connected, token_in
from bakeoff.schema.recipe_machine import RaySpec

_PACKAGES = ("ray", "torch", "transformers", "peft", "lm-eval")


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """One machine of the cluster."""

    node: str
    host: str
    cpus: float
    gpus: float
    memory_gb: float
    python: str
    bakeoff: str | None
    packages: dict[str, str | None]
    shares_runs: bool | None
    """Whether it sees the driver's runs folder."""

    problems: tuple[str, ...]


def check_cluster(spec: RaySpec, runs_dir: Path) -> list[NodeReport]:
    """Run a small task on every machine.

    Raises:
        UserError: There is no cluster.
    """
    with connected(spec) as ray, token_in(runs_dir) as (token, path):
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        alive = [node for node in ray.nodes() if node["Alive"]]
        tasks = [
            ray.remote(look_around)
            .options(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=strategy(node_id=node["NodeID"], soft=False),
            )
            .remote(str(path), token)
            for node in alive
        ]
        return [_report(node, _answer(ray, task)) for node, task in zip(alive, tasks, strict=True)]


def look_around(token_path: str, token: str) -> dict[str, Any]:
    """What a worker finds on its machine."""
    path = Path(token_path)
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "bakeoff": __version__,
        "packages": {name: _version(name) for name in _PACKAGES},
        "shares": path.is_file() and path.read_text(encoding="utf-8") == token,
    }


def _answer(ray: Any, task: Any) -> dict[str, Any] | str:
    try:
        found: dict[str, Any] = ray.get(task, timeout=120)
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[-1]
    return found


def _report(node: dict[str, Any], found: dict[str, Any] | str) -> NodeReport:
    resources = node["Resources"]
    known: dict[str, Any] = {} if isinstance(found, str) else found
    return NodeReport(
        node=node["NodeID"][:8],
        host=known.get("host", node.get("NodeManagerHostname", "")),
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
        memory_gb=round(resources.get("memory", 0.0) / 1e9, 1),
        python=known.get("python", ""),
        bakeoff=known.get("bakeoff"),
        packages=known.get("packages", {}),
        shares_runs=known.get("shares"),
        problems=tuple(_problems(found)),
    )


def _problems(found: dict[str, Any] | str) -> Sequence[str]:
    if isinstance(found, str):
        return [f"bakeoff does not run there: {found}"]
    problems = []
    if found["bakeoff"] != __version__:
        problems.append(f"bakeoff {found['bakeoff']}, here {__version__}")
    for name, there in found["packages"].items():
        here = _version(name)
        if there is None and here is not None:
            problems.append(f"{name} is missing")
        elif there != here:
            problems.append(f"{name} {there}, here {here}")
    return problems


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
