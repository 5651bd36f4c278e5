"""One process, one device."""

from collections.abc import Sequence
from typing import ClassVar

from bakeoff.schema.plan import Dialect, Problem, World


class Single:
    speaks: ClassVar[frozenset[Dialect]] = frozenset({Dialect.PLAIN})

    def check(self, world: World) -> Sequence[Problem]:
        if world.num_nodes == 1 and world.devices_per_node == 1:
            return []
        return [
            Problem(
                key="world_size",
                message=f"`single` runs one process; got {world.devices_per_node} devices on "
                f"{world.num_nodes} node(s)",
                hint="set `world_size: 1`",
            )
        ]
