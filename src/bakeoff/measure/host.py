"""Memory and processor time of a process tree, read from outside.

Memory is the proportional set size (PSS) where the system tells it: pages that several processes
share are counted once. Elsewhere it is the resident set size, which counts them in each process;
the reading says which. Beside it stands the high-water mark that the kernel keeps of each process's
resident memory, which no peak between two readings escapes.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

Counter = Literal["pss", "rss"]

_PROC = Path("/proc")


def memory_counter() -> Counter:
    """What this system can tell."""
    return "pss" if Path("/proc/self/smaps_rollup").exists() else "rss"


@dataclass(frozen=True)
class HostReading:
    """Of a whole tree at one moment."""

    host_bytes: int
    high_water_bytes: int | None
    """The marks of all processes added; None where one of them has none."""

    cpu_seconds: dict[int, float]
    """So far, by process id."""


def read_tree(pid: int, counter: Counter) -> HostReading | None:
    """None when the process is gone, or is a zombie, which has no memory left."""
    total, cpu_seconds, marks = 0, dict[int, float](), list[int | None]()
    for member in family(pid):
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(member)
            memory, mark = _memory_bytes(process, counter)
            if memory:
                times = process.cpu_times()
                cpu_seconds[member] = times.user + times.system
                total += memory
                marks.append(mark)
    if total == 0:
        return None
    known = [mark for mark in marks if mark is not None]
    return HostReading(total, sum(known) if len(known) == len(marks) else None, cpu_seconds)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    if (_PROC / f"{pid}/task/{pid}/children").exists():
        return list(_family_by_files(pid))
    try:
        root = psutil.Process(pid)
        return [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _family_by_files(pid: int) -> Iterator[int]:
    """As Linux tells it directly; psutil would read every process of the machine."""
    yield pid
    for path in _PROC.joinpath(str(pid), "task").glob("*/children"):
        children: list[str] = []
        with contextlib.suppress(OSError):
            children = path.read_text(encoding="ascii").split()
        for child in children:
            yield from _family_by_files(int(child))


def _memory_bytes(process: psutil.Process, counter: Counter) -> tuple[int, int | None]:
    """Memory now, and the most that was resident so far."""
    if sys.platform == "linux":
        folder = _PROC / str(process.pid)
        status = _fields(folder / "status", {"VmRSS:", "VmHWM:"})
        now = status if counter == "rss" else _fields(folder / "smaps_rollup", {"Pss:"})
        return now.get("VmRSS:" if counter == "rss" else "Pss:", 0), status.get("VmHWM:")
    info: Any = process.memory_info()
    return int(info.rss), getattr(info, "peak_wset", None)  # the latter on Windows


def _fields(path: Path, names: set[str]) -> dict[str, int]:
    """Lines `NAME 123 kB` of a file in ``/proc``, in bytes."""
    found = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
            if name in names:
                found[name] = int(rest.split()[0]) * 1024
                if len(found) == len(names):
                    break
    return found
