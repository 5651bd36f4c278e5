"""What the pages call a run: the study's own axes tell it from its neighbours."""

from collections.abc import Sequence

from bakeoff.compare.names import BASE, name_cell, varying_axes
from bakeoff.schema.summary import RunSummary


def name_of(run: RunSummary, axes: Sequence[str]) -> str:
    """`LoRA, seed 1`; `base model` for an evaluation of the untouched one."""
    if run.kind == "eval" and run.parent_run_id is None:
        return BASE
    name = name_cell(run.cell, axes)
    return f"{name}, turn {run.turn}" if run.turn > 1 else name


def axes_of(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """Axes with more than one value among these runs."""
    cells = [run.cell for run in runs if run.cell]
    return tuple(axis for axis in varying_axes(cells) if not axis.startswith("evaluate."))
