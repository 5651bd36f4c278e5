"""One process, one device."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bakeoff.schema.plan import Dialect, Problem, TrainPlan, World


class Single:
    speaks: ClassVar[frozenset[Dialect]] = frozenset({Dialect.PLAIN})
    requirements: ClassVar[tuple[str, ...]] = ()

    def check(self, world: World) -> Sequence[Problem]:
        if world.num_processes == 1:
            return []
        return [
            Problem(
                key="world_size",
                message=f"`single` runs one process; got {world.devices_per_node} devices on "
                f"{world.num_nodes} node(s)",
                hint="set `world_size: 1`, or a strategy for several: `ddp`, `fsdp`, `zero2`...",
            )
        ]

    def tell(self, dialect: Dialect, plan: TrainPlan) -> Mapping[str, Any]:
        return {}
