"""What one Ray task does: a part of a study, by the ordinary runner, on whatever machine it lands.

Nothing here imports Ray but on a worker of its own. A task that is started again, because its
machine or process was lost, finds what the first one finished, and goes on from its checkpoints.
"""

import io
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff.base.files import folder_when_whole
from bakeoff.runner.observer import Silent
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name

END_WANTED = "end-wanted.txt"
"""A file in a run's folder: why whoever asked for the run wants it ended now."""

_LOCAL_RUNS = "ray-runs"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a study, as it travels to a worker."""

    study: PreparedStudy
    workspace: Workspace
    force: bool
    token: str
    """Content of the file ``token_path``, by which a worker sees that it shares the folder."""

    token_path: Path


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a worker sends back."""

    outcome: StudyOutcome
    folders: dict[str, bytes]
    """Run folders, packed, of a worker that shares no folder with the driver."""

    node: str


def do_part(part: Part) -> Done:
    """Do the part here."""
    import ray  # noqa: PLC0415 - on a worker of Ray's only

    shares = _shares_folder(part)
    workspace = _here(part.workspace, ray.get_gpu_ids(), shares=shares)

    def why_end(step: TrainPlan | EvalPlan) -> str | None:
        wanted = workspace.runs_dir / run_name(step) / END_WANTED
        return wanted.read_text(encoding="utf-8") if wanted.is_file() else None

    # The driver tells what a part came to when it is done.
    runner = StudyRunner(part.study, workspace, Silent(), force=part.force, why_end=why_end)
    outcome = runner.do_steps()
    names = [record.run_id for record in outcome.records]
    folders = {} if shares else {name: _packed(workspace.runs_dir / name) for name in names}
    return Done(outcome=outcome, folders=folders, node=ray.get_runtime_context().get_node_id()[:8])


def unpack(content: bytes, run_dir: Path) -> None:
    """Put a packed run where it belongs; its record comes with it, and so it is whole or absent."""
    with folder_when_whole(run_dir) as folder, tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")


def _packed(run_dir: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(run_dir.rglob("*")):
            name = path.relative_to(run_dir)
            if path.is_file() and not name.parts[0].startswith("checkpoint"):
                archive.add(path, arcname=str(name))
    return buffer.getvalue()


def _shares_folder(part: Part) -> bool:
    try:
        return part.token_path.read_text(encoding="utf-8") == part.token
    except OSError:
        return False


def _here(workspace: Workspace, gpu_ids: Sequence[Any], *, shares: bool) -> Workspace:
    """The workspace on this machine, with the devices that Ray gave to this task."""
    environment = dict(workspace.environment)
    if gpu_ids:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu) for gpu in gpu_ids)
    runs_dir = workspace.runs_dir if shares else workspace.cache_dir / _LOCAL_RUNS
    return replace(
        workspace, environment=environment, runs_dir=runs_dir, python=Path(sys.executable)
    )
