"""Disks: how full, and whether what is large lies on the right one."""

from collections.abc import Iterator

from bakeoff.doctor.commands import set_variable
from bakeoff.doctor.machine import Folder, Machine
from bakeoff.schema.findings import Finding

_FULL_BYTES = 2 * 10**9
_TIGHT_BYTES = 15 * 10**9
"""A model of 1.5 billion parameters with one full fine-tuning and its checkpoints."""


def check_free_space(machine: Machine) -> Iterator[Finding]:
    """One finding a disk, whatever lies on it."""
    by_disk: dict[int, list[Folder]] = {}
    for folder in machine.folders:
        if folder.device is not None and folder.free_bytes is not None:
            by_disk.setdefault(folder.device, []).append(folder)
    for folders in by_disk.values():
        free = min(folder.free_bytes for folder in folders if folder.free_bytes is not None)
        roles = ", ".join(dict.fromkeys(folder.role for folder in folders))
        text = f"{free / 1e9:.1f} GB free for {roles} (at {folders[0].path})"
        if free >= _TIGHT_BYTES:
            yield Finding(check="disk", verdict="ok", text=text)
            continue
        yield Finding(
            check="disk",
            verdict="problem" if free < _FULL_BYTES else "warning",
            text=f"{text}: little for models and checkpoints",
            command=_move_all(machine, folders),
        )


def check_data_disk(machine: Machine) -> Iterator[Finding]:
    """AutoDL's system disk is small, and full it stops the machine from starting."""
    if machine.data_disk is None:
        return
    wrong = [
        folder
        for folder in machine.folders
        if folder.device is not None and folder.device == machine.system_disk
    ]
    if not wrong:
        yield Finding(
            check="data disk", verdict="ok", text=f"what is large lies on {machine.data_disk}"
        )
    for folder in wrong:
        yield Finding(
            check="data disk",
            verdict="warning",
            text=f"{folder.role} go to {folder.path} on the small system disk; the data disk is "
            f"{machine.data_disk} (a recipe's `places` moves them too)",
            command=_move(machine, folder),
        )


def _move_all(machine: Machine, folders: list[Folder]) -> str:
    return "; ".join(dict.fromkeys(_move(machine, folder) for folder in folders))


def _move(machine: Machine, folder: Folder) -> str:
    target = (
        str(machine.data_disk / folder.variable.lower().removeprefix("bakeoff_"))
        if machine.data_disk is not None
        else "FOLDER_ON_A_LARGER_DISK"
    )
    made = "" if machine.system == "Windows" else f"mkdir -p {target}; "
    return made + set_variable(machine.system, folder.variable, target)
