"""Isolated, locked environments of the frameworks that are driven from outside.

To add one: write ``bakeoff/envs/<name>.py`` with an ``EnvSpec``, add one line below, and make its
lock with ``bakeoff env lock NAME``; the tests pick the new name up by themselves.
"""

from bakeoff.base.registry import Registry
from bakeoff.envs.spec import EnvSpec

ENVIRONMENTS: Registry[EnvSpec] = Registry(
    "environments",
    {
        "llamafactory": "bakeoff.envs.llamafactory:SPEC",
        "swift": "bakeoff.envs.swift:SPEC",
        "vllm": "bakeoff.envs.vllm:SPEC",
        "vllm-cpu": "bakeoff.envs.vllm:CPU_SPEC",
        "llamacpp": "bakeoff.envs.llamacpp:SPEC",
    },
)
