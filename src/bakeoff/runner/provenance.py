"""Everything needed to doubt a result, or to get it again."""

from collections.abc import Mapping
from pathlib import Path

from bakeoff import __version__
from bakeoff.base.hashing import digest_json
from bakeoff.base.process import capture
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import Launch
from bakeoff.schema.record import Provenance
from bakeoff.schema.results import DataManifest, ModelManifest, RunEnvironment

_PREFIXES = ("CUDA_", "OMP_", "MKL_", "MALLOC_", "PYTORCH_", "NCCL_", "HF_", "TOKENIZERS_", "LLAMA")
_SECRET = {"TOKEN", "KEY", "SECRET", "PASSWORD"}
_PACKAGE_DIR = Path(__file__).resolve().parents[1]


def make_provenance(
    workspace: Workspace,
    *,
    launch: Launch,
    period: tuple[str, str],
    model: ModelManifest,
    data: DataManifest | None,
    surroundings: RunEnvironment,
) -> Provenance:
    """Of one run.

    Args:
        workspace: For the command line and the inherited environment.
        launch: For the variables that this run alone was given.
        period: Start and end, ISO 8601, UTC.
        model: What was trained or scored.
        data: None when the harness brought the task's data itself.
        surroundings: Packages and hardware as the process saw them.
    """
    commit, dirty = _git_state()
    packages, hardware = surroundings.packages, surroundings.hardware
    return Provenance(
        bakeoff_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        packages=packages,
        lock_digest=digest_json(packages) if packages else None,
        model_source=model.source,
        model_revision=model.revision,
        model_digest=model.digest,
        data_digest=data.digest if data is not None else None,
        template_digest=data.template_digest if data is not None else None,
        hardware=hardware,
        driver=hardware.get("driver"),
        command_line=workspace.command_line,
        environment=_telling({**workspace.environment, **launch.env}),
        started_at=period[0],
        ended_at=period[1],
    )


def _git_state() -> tuple[str | None, bool | None]:
    """Of the checkout that this very code runs from; None for an installed package."""
    if not any((parent / ".git").exists() for parent in _PACKAGE_DIR.parents[1:2]):
        return None, None
    commit = capture(["git", "rev-parse", "HEAD"], cwd=_PACKAGE_DIR)
    changes = capture(["git", "status", "--porcelain"], cwd=_PACKAGE_DIR)
    return commit, None if changes is None else bool(changes)


def _telling(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that change results or speed; nothing that looks like a secret."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIXES) and _SECRET.isdisjoint(name.split("_"))
    }
