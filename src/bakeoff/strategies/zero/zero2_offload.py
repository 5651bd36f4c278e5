"""As ``zero2``; the optimiser's state lies on the host (Ren et al. 2021, arXiv:2101.06840)."""

from typing import ClassVar

from bakeoff.strategies.zero.common import Zero


class Zero2Offload(Zero):
    stage: ClassVar[int] = 2
    offloads: ClassVar[tuple[str, ...]] = ("optimizer",)
