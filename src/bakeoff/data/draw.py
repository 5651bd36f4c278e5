"""Which rows are trained on, watched and scored: shuffled by the recipe's seed, then taken."""

import random
from dataclasses import dataclass

from bakeoff.base.errors import UserError
from bakeoff.data.spool import Spool
from bakeoff.schema.recipe_subject import DataSpec


@dataclass(frozen=True)
class Draw:
    """Rows of one split to be written, in order."""

    spool: Spool
    indices: list[int]


def draw_rows(
    spec: DataSpec, *, train: Spool, validation: Spool | None, test: Spool
) -> dict[str, Draw]:
    """Choose the rows of `train`, `validation` and `test`.

    Validation is the named split, or comes out of the training split. Either way no question
    stands in both: validation holds each question once, and a training row with a question of
    validation is left out. Each split is shuffled on its own, so that another ``num_train`` leaves
    the others as they were.

    Raises:
        UserError: Validation would take more than half of the training split.
    """
    train_order = _shuffled(train, spec.seed)
    watched_spool = train if validation is None else validation
    watched_order = train_order if validation is None else _shuffled(validation, spec.seed)
    watched = _first_of_each_question(watched_spool, watched_order, spec.num_validation)
    if validation is None and 2 * len(watched) > len(train):
        raise UserError(
            f"{train.place(0).rpartition(',')[0]} has {len(train)} rows, and `data.num_validation` "
            f"would take {len(watched)} of them out of training",
            hint=f"set `data.num_validation` to {len(train) // 10} or so (0: none), or name a "
            "split with `data.validation`",
        )
    watched_keys = {watched_spool.keys[index] for index in watched}
    learned = [index for index in train_order if train.keys[index] not in watched_keys]
    if not learned:
        raise UserError(
            "every training question stands in the validation split too",
            hint="name another file for `data.validation`, or leave it out",
        )
    return {
        "train": Draw(train, learned[: spec.num_train]),
        "validation": Draw(watched_spool, watched),
        "test": Draw(test, _shuffled(test, spec.seed)[: spec.num_test]),
    }


def _shuffled(spool: Spool, seed: int) -> list[int]:
    order = list(range(len(spool)))
    random.Random(f"{spool.split} {seed}").shuffle(order)  # noqa: S311 - not for secrets
    return order


def _first_of_each_question(spool: Spool, order: list[int], limit: int) -> list[int]:
    chosen: dict[int, int] = {}
    for index in order:
        if len(chosen) == limit:
            break
        chosen.setdefault(spool.keys[index], index)
    return list(chosen.values())
