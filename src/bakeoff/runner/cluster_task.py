"""What one task of a cluster does: a part of a study, by the ordinary runner, wherever it lands.

A task that is started again, because its machine or process was lost, finds what the first one
finished, and goes on from its checkpoints.
"""

import io
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole
from bakeoff.runner.join import join_runs
from bakeoff.runner.observer import Silent
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name

END_WANTED = "end-wanted.txt"
"""A file in a run's folder: why whoever asked for the run wants it ended now."""

_LOCAL_RUNS = "cluster-runs"


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


def do_part(part: Part, *, visible_gpus: str, node: str, rendezvous: str | None = None) -> Done:
    """Do the part here.

    Args:
        part: What is to be done.
        visible_gpus: Those that the cluster gave to this task, as CUDA wants it told.
        node: What the cluster calls this machine.
        rendezvous: Where other machines meet this one for trainings of several, unless the recipe
            says where; None: this machine is alone.
    """
    shares = _shares_folder(part)
    workspace = _here(part.workspace, visible_gpus, shares=shares)
    if rendezvous is not None:
        _require_shared(shares)
        exchange = workspace.exchange
        met_at = {"rendezvous": exchange.rendezvous or rendezvous}
        workspace = replace(workspace, exchange=exchange.model_copy(update=met_at))

    def why_end(step: TrainPlan | EvalPlan) -> str | None:
        wanted = workspace.runs_dir / run_name(step) / END_WANTED
        return wanted.read_text(encoding="utf-8") if wanted.is_file() else None

    # The driver tells what a part came to when it is done.
    runner = StudyRunner(part.study, workspace, Silent(), force=part.force, why_end=why_end)
    outcome = runner.do_steps()
    names = [record.run_id for record in outcome.records]
    folders = {} if shares else {name: _packed(workspace.runs_dir / name) for name in names}
    return Done(outcome=outcome, folders=folders, node=node)


def join_part(part: Part, *, visible_gpus: str) -> None:
    """Take part in the part's trainings of several machines, until the cluster ends this task."""
    shares = _shares_folder(part)
    _require_shared(shares)
    workspace = _here(part.workspace, visible_gpus, shares=shares)
    names = {
        run_name(step)
        for step in part.study.plan.runs
        if isinstance(step, TrainPlan) and step.world.num_nodes > 1
    }
    join_runs(
        workspace.runs_dir,
        environment=workspace.environment,
        once=False,
        say=lambda _: None,
        only=names,
    )


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


def _require_shared(shares: bool) -> None:  # noqa: FBT001 - the answer to a question
    if not shares:
        raise UserError(
            "machines that do one training together must share the folders of runs and of the "
            "cache, and this one does not see that of the runs",
            hint="put `--runs-dir` and `--cache-dir` on a disk that all machines share",
        )


def _shares_folder(part: Part) -> bool:
    try:
        return part.token_path.read_text(encoding="utf-8") == part.token
    except OSError:
        return False


def _here(workspace: Workspace, visible_gpus: str, *, shares: bool) -> Workspace:
    """The workspace on this machine, with the devices that are this task's."""
    environment = dict(workspace.environment)
    if visible_gpus:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpus
    runs_dir = workspace.runs_dir if shares else workspace.cache_dir / _LOCAL_RUNS
    return replace(
        workspace, environment=environment, runs_dir=runs_dir, python=Path(sys.executable)
    )
