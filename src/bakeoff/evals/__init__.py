"""Engines that generate answers and have them scored; add one with one line here."""

from bakeoff.base.registry import Registry
from bakeoff.interfaces import EvalEngine

ENGINES: Registry[type[EvalEngine]] = Registry(
    "engines",
    {
        "builtin": "bakeoff.evals.builtin:BuiltinEngine",
        "hf": "bakeoff.evals.hf:HfEngine",
        "vllm": "bakeoff.evals.vllm:VllmEngine",
    },
)
