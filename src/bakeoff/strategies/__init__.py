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
    },
)
