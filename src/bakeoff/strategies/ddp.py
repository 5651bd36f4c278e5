"""Every device holds everything; gradients are summed (Li et al. 2020, arXiv:2006.15704)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bakeoff.schema.plan import Dialect, Problem, TrainPlan, World


class Ddp:
    speaks: ClassVar[frozenset[Dialect]] = frozenset({Dialect.TORCHRUN})
    requirements: ClassVar[tuple[str, ...]] = ()

    def check(self, world: World) -> Sequence[Problem]:
        return []

    def tell(self, dialect: Dialect, plan: TrainPlan) -> Mapping[str, Any]:
        return {"kind": "ddp"}
