"""Which rows go into which split, when some of them must stay together."""

import random
from collections.abc import Iterable, Sequence

from bakeoff.base.errors import UserError
from bakeoff.data.inspection.minhash import Clusters
from bakeoff.schema.data_split import Part, SplitSettings

LEFT_OUT = "left out"


def join_equal(clusters: Clusters, keys: Iterable[object]) -> None:
    """Rows with equal keys belong together."""
    first: dict[object, int] = {}
    for row, key in enumerate(keys):
        clusters.join(first.setdefault(key, row), row)


def assign(
    clusters: Clusters, num_rows: int, *, num_fixed: int, settings: SplitSettings
) -> list[str]:
    """The split of each row.

    The groups are shuffled by the seed; the test split takes them in that order as long as they
    fit, then the validation split, and the rest is trained on. So another size of the validation
    split leaves the test split as it was.

    Args:
        clusters: Which rows belong together.
        num_rows: All rows, those of a kept test split first.
        num_fixed: How many those are; rows that belong together with them are left out.
        settings: What is asked for.

    Raises:
        UserError: A split would get no row.
    """
    groups: dict[int, list[int]] = {}
    for row in range(num_rows):
        groups.setdefault(clusters.of(row), []).append(row)
    splits = ["test"] * num_fixed + ["train"] * (num_rows - num_fixed)
    free = []
    for rows in groups.values():
        # The smallest number of a group stands first: a kept test row, if there is one.
        if rows[0] < num_fixed:
            for row in rows:
                splits[row] = "test" if row < num_fixed else LEFT_OUT
        else:
            free.append(rows)
    random.Random(f"split {settings.seed}").shuffle(free)  # noqa: S311 - not for secrets
    pool = num_rows - num_fixed
    wanted = {
        "test": _size(settings.test or 0, pool),
        "validation": _size(settings.validation, pool),
    }
    for name, size in wanted.items():
        free = _fill(name, size, free, splits)
    _check(splits, wanted, free)
    return splits


def _size(part: Part, pool: int) -> int:
    return round(part * pool) if part < 1 else round(part)


def _fill(name: str, size: int, free: Sequence[list[int]], splits: list[str]) -> list[list[int]]:
    left, rest = size, []
    for rows in free:
        if len(rows) <= left:
            left -= len(rows)
            for row in rows:
                splits[row] = name
        else:
            rest.append(rows)
    return rest


def _check(splits: Sequence[str], wanted: dict[str, int], free: Sequence[list[int]]) -> None:
    largest = max(map(len, free), default=0)
    for name, size in wanted.items():
        if size and name not in splits:
            raise UserError(
                f"no group of rows is small enough for the {size} rows of {name}; those that "
                f"belong together number up to {largest}",
                hint=f"ask for a larger --{name}, or group by another column",
            )
    if "train" not in splits:
        raise UserError(
            f"nothing would be left to train on: {wanted['test']} rows for test and "
            f"{wanted['validation']} for validation are all there are",
            hint="ask for smaller splits",
        )
