"""Samples a process tree at an interval into a timeline, one JSON object a line.

Memory is the proportional set size (PSS) where the system tells it: pages that several processes
share are counted once. Elsewhere it is the resident set size, which counts them once a process; the
timeline says which. Reading PSS of a large process takes milliseconds in the kernel, so the
interval stretches towards a cost of one hundredth of one core, though never beyond two seconds: a
peak between two samples is missed, and the record tells the interval.
"""

import contextlib
import json
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import psutil

from bakeoff.base.files import drop_torn_line

MIN_INTERVAL_SECONDS = 0.2
MAX_INTERVAL_SECONDS = 2.0
COST_SHARE = 0.01

Counter = Literal["pss", "rss"]


def memory_counter() -> Counter:
    """What this system can tell."""
    return "pss" if Path("/proc/self/smaps_rollup").exists() else "rss"


class Sampler:
    """Samples until the block ends; the timeline file is appended to, a line at a time."""

    def __init__(self, pid: int, timeline: Path) -> None:
        self._pid = pid
        self._timeline = timeline
        self._counter = memory_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        interval = MIN_INTERVAL_SECONDS
        drop_torn_line(self._timeline)
        with self._timeline.open("a", encoding="utf-8", newline="\n") as file:
            while True:
                before = time.thread_time()
                sample = sample_tree(self._pid, self._counter)
                if sample is not None:
                    file.write(json.dumps(sample) + "\n")
                    file.flush()
                cost = time.thread_time() - before
                interval = min(max(MIN_INTERVAL_SECONDS, cost / COST_SHARE), MAX_INTERVAL_SECONDS)
                if self._stop.wait(interval):
                    return


def sample_tree(pid: int, counter: Counter) -> dict[str, Any] | None:
    """One line of the timeline, or None when the process is gone.

    Returns:
        `at` (seconds since the epoch), `host_bytes` summed over the tree, `counter`,
        `num_processes`, `cpu_seconds` used so far by the processes that live.
    """
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    total, cpu_seconds, alive = 0, 0.0, 0
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            total += _memory_bytes(process, counter)
            times = process.cpu_times()
            cpu_seconds += times.user + times.system
            alive += 1
    if total == 0:  # a zombie has no memory left: that is no reading
        return None
    return {
        "at": time.time(),
        "host_bytes": total,
        "counter": counter,
        "num_processes": alive,
        "cpu_seconds": round(cpu_seconds, 3),
    }


def _memory_bytes(process: psutil.Process, counter: Counter) -> int:
    if counter == "rss":
        return int(process.memory_info().rss)
    with Path(f"/proc/{process.pid}/smaps_rollup").open(encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
