"""The dataset that `bakeoff eval init` writes a task for."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.base.errors import UserError
from bakeoff.base.hub import say_nothing
from bakeoff.base.sources import source_kind
from bakeoff.data.sources import RowsFile, Surroundings
from bakeoff.data.splits_there import splits_there
from bakeoff.evals.own_task import local_dataset
from bakeoff.schema.recipe_subject import DataSpec

if TYPE_CHECKING:
    from bakeoff.runner.workspace import Workspace

_NUM_ROWS = 500
"""Looked at to see what the answers are like."""


@dataclass(frozen=True)
class FoundDataset:
    dataset: dict[str, Any]
    """What a task file says of it."""

    splits: tuple[str, ...]
    rows: list[dict[str, Any]]
    """The first of the split that is scored."""


def read_dataset(source: str, subset: str | None, workspace: "Workspace") -> FoundDataset:
    """Its splits and first rows.

    Raises:
        UserError: It is not there, or its rows are no columns.
    """
    spec = DataSpec(source=source, subset=subset)
    kind = source_kind(source, Path.cwd(), key="DATASET")
    if kind == "builtin":
        raise UserError(
            f"{source} is made by a program; a file, a folder or a hub's id was expected",
            hint=f"`bakeoff data convert {source} --to prompt-response -o FOLDER` writes its rows",
        )
    surroundings = Surroundings(Path.cwd(), workspace.cache_dir, workspace.hub, say_nothing)
    files = splits_there(spec, surroundings)
    scored = next(name for name in ("test", "validation", "train") if name in files)
    rows = list(itertools.islice(_rows(files[scored]), _NUM_ROWS))
    if not rows:
        raise UserError(f"{source}: the split `{scored}` has no rows of columns")
    if kind == "local":
        paths = {name: [Path(f.label).resolve() for f in group] for name, group in files.items()}
        dataset = local_dataset(paths)
    else:
        dataset = {"dataset_path": source, "dataset_name": subset}
    return FoundDataset(dataset, tuple(files), rows)


def _rows(files: tuple[RowsFile, ...]) -> Any:
    for file in files:
        for _, row in file.read():
            if isinstance(row, dict):
                yield row
