"""Registry of trainers.

To add one: write ``bakeoff/backends/<name>.py`` with a class that satisfies ``Backend`` and add one
line below; the conformance suite picks the new name up by itself. What is told in a configuration
file of its own and trains with transformers begins with ``frameworks/training.py``.
"""

from bakeoff.base.registry import Registry
from bakeoff.interfaces import Backend

BACKENDS: Registry[type[Backend]] = Registry(
    "backends",
    {
        "builtin": "bakeoff.backends.builtin:BuiltinBackend",
        "llamafactory": "bakeoff.backends.frameworks.llamafactory:LlamaFactoryBackend",
        "swift": "bakeoff.backends.frameworks.swift:SwiftBackend",
    },
)
