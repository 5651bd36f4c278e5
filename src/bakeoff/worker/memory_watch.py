"""Peak memory of this process, read inside it whatever trains in it: loading and work apart.

The host's figure is the kernel's high-water mark of resident memory, the device's that of torch's
allocator; neither misses a short peak. Both begin anew when the first work does. Every process of a
run writes its own ``memory-rankN.json``.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bakeoff.worker.machine import write_json_atomic
from bakeoff.worker.ranks import rank_here

_PROC = Path("/proc/self")
_RESET_HIGH_WATER = "5"


class MemoryWatch:
    """Of one process."""

    def __init__(self) -> None:
        self._rank = rank_here()
        self._loading: dict[str, int | None] | None = None
        self._work: dict[str, int | None] | None = None
        self._can_reset = True
        self._start: int | None = None

    def begin_loading(self) -> None:
        """Libraries are there, weights are not; only the first call counts."""
        if self._start is None and sys.platform == "linux":
            self._start = _rss(os.getpid())

    def begin_work(self) -> None:
        """Loading has ended; only the first call counts."""
        if self._loading is None:
            self._loading = self._peaks()
            self._can_reset = _reset_host()
            cuda = _cuda()
            if cuda is not None:
                cuda.reset_peak_memory_stats()

    def end_work(self) -> None:
        """What follows (a check, say) is no part of the work; the last call counts."""
        self._work = self._peaks()

    def write(self, run_dir: Path) -> None:
        """At the end, however the work ended; of several attempts the largest figures stay."""
        now = self._work or self._peaks()
        loading, work = (now, {}) if self._loading is None else (self._loading, now)
        if work and not self._can_reset and work["host_bytes"] == loading["host_bytes"]:
            work["host_bytes"] = None  # reached while loading: how much the work took is not known
        found = {**work, **{f"load_{name}": value for name, value in loading.items()}}
        path = run_dir / f"memory-rank{self._rank}.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        peaks = {
            name: max(filter(None, (before.get(name), found.get(name))), default=None)
            for name in {**before, **found}
            if name not in ("rank", "start_host_bytes")
        }
        start = before.get("start_host_bytes") or self._start
        write_json_atomic(path, {**peaks, "start_host_bytes": start, "rank": self._rank})

    def _peaks(self) -> dict[str, int | None]:
        cuda = _cuda()
        return {
            "host_bytes": high_water_bytes(),
            "device_allocated_bytes": cuda.max_memory_allocated() if cuda else None,
            "device_reserved_bytes": cuda.max_memory_reserved() if cuda else None,
        }


WATCH = MemoryWatch()
"""That of this process."""


def high_water_bytes() -> int | None:
    """Most resident memory that this process has had; None where the system does not tell."""
    if sys.platform == "linux":
        return _field(_PROC / "status", "VmHWM:")
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def tree_bytes() -> int | None:
    """Memory of this process and its children now, as the sampler outside counts it."""
    if sys.platform != "linux":
        return None
    read: Callable[[int], int | None] = _pss if Path("/proc/self/smaps_rollup").exists() else _rss
    found = [read(pid) for pid in _family(os.getpid())]
    known = [value for value in found if value is not None]
    return sum(known) if known else None


def _family(pid: int) -> list[int]:
    """A process and all below it; those that end meanwhile are left out."""
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, path.read_text(encoding="ascii").split())
        except OSError:
            continue
    return [pid, *(member for child in children for member in _family(child))]


def _pss(pid: int) -> int | None:
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _rss(pid: int) -> int | None:
    return _field(Path(f"/proc/{pid}/status"), "VmRSS:")


def _field(path: Path, name: str) -> int | None:
    """A figure in kB of a file in ``/proc``, in bytes."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def _reset_host() -> bool:
    """Let the kernel's mark fall back to what is resident now; False where it cannot."""
    try:
        (_PROC / "clear_refs").write_text(_RESET_HIGH_WATER, encoding="ascii")
    except OSError:
        return False
    return True


def _cuda() -> Any:
    """CUDA functions of torch where a device is in use; looking must not bring it into use."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
