"""How much room on the disk a study needs, before anything is fetched.

Rounded up from what is known beforehand: the size of the weights, 2 bytes a parameter, is that of
the model's files. A person is stopped when it clearly does not fit, never because of a guess about
small things.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage

from bakeoff import models
from bakeoff.base.errors import UserError
from bakeoff.base.hub_access import silent
from bakeoff.envs import ENVIRONMENTS
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.progress import step_name
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EnvironmentStep, ModelStep, TrainPlan

_OPTIMIZER_STATES = 2
"""AdamW keeps two numbers a parameter, in the weights' own format."""

_CHECKPOINTS_AT_ONCE = 2
"""The one before is removed when the new one is whole."""


@dataclass(frozen=True)
class DiskNeed:
    folder: Path
    what: str
    num_bytes: int


def check_disk(study: PreparedStudy, workspace: Workspace, done: Collection[str]) -> None:
    """Compare what the study still needs with what is free, disk by disk.

    Raises:
        UserError: It does not fit; the message holds the numbers.
    """
    by_disk: dict[int, list[DiskNeed]] = {}
    for need in disk_needs(study, workspace, done):
        by_disk.setdefault(_existing(need.folder).stat().st_dev, []).append(need)
    for needs in by_disk.values():
        folder = _existing(needs[0].folder)
        free = disk_usage(folder).free
        total = sum(need.num_bytes for need in needs)
        if total > free:
            lines = [f"  {need.num_bytes / 1e9:6.1f} GB  {need.what}" for need in needs]
            raise UserError(
                "\n".join(
                    [
                        f"the study needs about {total / 1e9:.1f} GB on the disk of {folder}, "
                        f"which has {free / 1e9:.1f} GB free:",
                        *lines,
                    ]
                ),
                hint="free some space, name folders on a larger disk (--runs-dir, --cache-dir or "
                "the recipe's `places`), or set `train.save_every: 0`",
            )


def disk_needs(
    study: PreparedStudy, workspace: Workspace, done: Collection[str]
) -> Iterator[DiskNeed]:
    """What is left to do and large: models to fetch, trained weights, the largest checkpoints."""
    sizes: dict[str, int | None] = {}
    for step in study.plan.steps:
        if isinstance(step, EnvironmentStep) and step_name(step) not in done:
            largest = ENVIRONMENTS.get(step.name).num_bytes
            yield DiskNeed(workspace.cache_dir, f"environment {step.name}", largest)
        if isinstance(step, ModelStep):
            sizes[step.id] = _model_bytes(step, study, workspace)
            size = sizes[step.id]
            if step_name(step) not in done and size is not None:
                yield DiskNeed(workspace.cache_dir, f"model {step.model.title}", size)
    left = [
        step
        for step in study.plan.steps
        if isinstance(step, TrainPlan) and step.method == "full" and step_name(step) not in done
    ]
    # Trainings that are repeated keep no weights.
    weights = [
        size
        for step in left
        if step.turn == 1 and (size := _trained_bytes(step, sizes)) is not None
    ]
    if weights:
        what = f"weights of {len(weights)} full fine-tunings"
        yield DiskNeed(workspace.runs_dir, what, sum(weights))
    saving = [_trained_bytes(step, sizes) or 0 for step in left if step.train.save_every]
    if any(saving):
        num_bytes = max(saving) * (1 + _OPTIMIZER_STATES) * _CHECKPOINTS_AT_ONCE
        what = "checkpoints while one full fine-tuning runs (weights and optimiser, twice)"
        yield DiskNeed(workspace.runs_dir, what, num_bytes)


def _trained_bytes(step: TrainPlan, sizes: Mapping[str, int | None]) -> int | None:
    size = sizes.get(step.model_id)
    if size is None:
        return None
    return size * 2 if step.train.precision == "fp32" else size


def _model_bytes(step: ModelStep, study: PreparedStudy, workspace: Workspace) -> int | None:
    """None when nobody can say now; fetching will tell why."""
    # What each hub answers is said when the model is fetched.
    quiet = replace(workspace.hub, say=silent)
    return models.num_bytes(
        step.model, base_dir=study.base_dir, cache_dir=workspace.cache_dir, hub=quiet
    )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
