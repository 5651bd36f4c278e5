"""What this machine has and lacks for the work, with the command that mends each.

A check is one small function from the facts about a machine to findings; adding one is a function
and a line here.
"""

from collections.abc import Callable, Iterable

from bakeoff.doctor import hardware, storage, surroundings
from bakeoff.doctor.machine import Machine
from bakeoff.schema.findings import Finding

CHECKS: tuple[Callable[[Machine], Iterable[Finding]], ...] = (
    hardware.check_python,
    hardware.check_gpus,
    hardware.check_torch,
    hardware.check_bf16,
    hardware.check_memory,
    storage.check_free_space,
    storage.check_data_disk,
    surroundings.check_hubs,
    surroundings.check_hub_variables,
    surroundings.check_visible_devices,
    surroundings.check_threads,
    surroundings.check_allocator,
    surroundings.check_proxies,
    surroundings.check_encodings,
    surroundings.check_git,
    surroundings.check_trackers,
)


def examine(machine: Machine) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(machine)]
