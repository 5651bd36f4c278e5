"""As ``zero3``; weights and optimiser state lie on the host."""

from typing import ClassVar

from bakeoff.strategies.zero.common import Zero


class Zero3Offload(Zero):
    stage: ClassVar[int] = 3
    offloads: ClassVar[tuple[str, ...]] = ("optimizer", "param")
