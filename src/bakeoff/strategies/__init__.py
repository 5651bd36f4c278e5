"""Registry of distributed strategies.

To add one: write ``bakeoff/strategies/<name>.py`` with a class that satisfies ``Strategy`` and add
one line below; the conformance suite picks the new name up by itself.
"""

from bakeoff.base.registry import Registry
from bakeoff.interfaces import Strategy

STRATEGIES: Registry[type[Strategy]] = Registry(
    "strategies",
    {
        "single": "bakeoff.strategies.single:Single",
        "ddp": "bakeoff.strategies.ddp:Ddp",
        "fsdp": "bakeoff.strategies.fsdp:Fsdp",
        "zero1": "bakeoff.strategies.zero.zero1:Zero1",
        "zero2": "bakeoff.strategies.zero.zero2:Zero2",
        "zero3": "bakeoff.strategies.zero.zero3:Zero3",
        "zero2-offload": "bakeoff.strategies.zero.zero2_offload:Zero2Offload",
        "zero3-offload": "bakeoff.strategies.zero.zero3_offload:Zero3Offload",
    },
)
