"""What a cluster has and lacks for bakeoff, machine by machine."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bakeoff import __version__
from bakeoff.base.cores import num_cores
from bakeoff.runner.cluster import Machine, connected, token_in
from bakeoff.runner.fit_inputs import gpus_here
from bakeoff.schema.recipe_machine import ClusterSpec

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


def check_cluster(spec: ClusterSpec, runs_dir: Path) -> list[NodeReport]:
    """Run a small task on every machine of Ray's, or in a job of SLURM's.

    Raises:
        UserError: There is no cluster.
    """
    token_file = token_in(runs_dir)
    with connected(spec, runs_dir) as cluster, token_file as (token, path):
        return [_report(machine) for machine in cluster.look(look_around, str(path), token)]


def look_around(token_path: str, token: str) -> dict[str, Any]:
    """What a worker finds on its machine."""
    path = Path(token_path)
    return {
        "host": platform.node(),
        "cpus": num_cores(),
        "gpus": len(gpus_here()),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "python": platform.python_version(),
        "bakeoff": __version__,
        "packages": {name: _version(name) for name in _PACKAGES},
        "shares": path.is_file() and path.read_text(encoding="utf-8") == token,
    }


def _report(machine: Machine) -> NodeReport:
    known: dict[str, Any] = {} if isinstance(machine.found, str) else machine.found
    return NodeReport(
        node=machine.node,
        host=known.get("host", ""),
        cpus=known.get("cpus", 0.0),
        gpus=known.get("gpus", 0.0),
        memory_gb=round(known.get("memory_gb", 0.0), 1),
        python=known.get("python", ""),
        bakeoff=known.get("bakeoff"),
        packages=known.get("packages", {}),
        shares_runs=known.get("shares"),
        problems=tuple(_problems(machine.found)),
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
