"""Equal cells with several seeds: the noise of training itself."""

import json
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev

from bakeoff.compare.names import name_cell, varying_axes
from bakeoff.compare.samples import by_item, of_task
from bakeoff.compare.stats import hierarchical_interval
from bakeoff.compare.tables import Samples
from bakeoff.schema.comparison import Interval, Row, SeedGroup
from bakeoff.schema.plan import AxisValue


def seed_groups(rows: Sequence[Row], samples: Samples) -> list[SeedGroup]:
    """One for each cell with at least two seeds, by the headline filter and number of examples."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.is_headline and not row.is_base and "seed" in row.cell:
            groups[_key(row)].append(row)
    axes = varying_axes([_without_seed(row) for row in rows if not row.is_base])
    return [_group(members, axes, samples) for members in groups.values() if len(members) > 1]


def num_seeds(rows: Sequence[Row], row: Row) -> int:
    """Trainings behind a row: its own and its equals with another seed."""
    return sum(_key(other) == _key(row) for other in rows)


def is_grouped(rows: Sequence[Row], row: Row) -> bool:
    """Whether one of ``seed_groups`` stands for this headline row."""
    return not row.is_base and "seed" in row.cell and num_seeds(rows, row) > 1


def _key(row: Row) -> str:
    asked = [row.task, row.num_fewshot, row.metric, row.filter]
    return json.dumps([_without_seed(row), asked], sort_keys=True)


def _without_seed(row: Row) -> dict[str, AxisValue]:
    return {axis: value for axis, value in row.cell.items() if axis != "seed"}


def _group(members: Sequence[Row], axes: Sequence[str], samples: Samples) -> SeedGroup:
    first = members[0]
    differences = [row.difference.difference for row in members if row.difference]
    complete = len(differences) == len(members)
    return SeedGroup(
        name=name_cell(first.cell, axes),
        num_fewshot=first.num_fewshot,
        seeds=tuple(row.cell["seed"] for row in members),
        mean_accuracy=fmean(row.accuracy for row in members),
        spread=stdev(row.accuracy for row in members),
        mean_difference=fmean(differences) if complete else None,
        interval=_interval(members, samples) if complete else None,
    )


def _interval(members: Sequence[Row], samples: Samples) -> Interval | None:
    """Of the mean difference; None unless one base evaluation answers for every seed."""
    bases = {row.baseline_run_id for row in members}
    base = bases.pop()
    if base is None or bases:
        return None
    key = f"{members[0].metric},{members[0].filter}"
    task = members[0].task
    items = by_item(of_task(samples[base], task))
    return hierarchical_interval(
        [
            [keyed[item].correct[key] - sample.correct[key] for item, sample in items.items()]
            for keyed in (by_item(of_task(samples[row.run_id], task)) for row in members)
        ]
    )
