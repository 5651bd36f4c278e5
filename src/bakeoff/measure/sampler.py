"""Samples a process tree and its devices at an interval into a timeline, one JSON object a line.

Reading the memory of a large process takes milliseconds in the kernel, so the interval stretches
until the sampling costs less than one hundredth of one core; what it cost is measured. A peak
between two samples is missed by them, and caught by the kernel's high-water mark (see
`bakeoff.measure.host`).
"""

import contextlib
import json
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from bakeoff.base.files import drop_torn_line
from bakeoff.measure.gpu import Gpus
from bakeoff.measure.host import memory_counter, read_tree
from bakeoff.measure.rapl import Rapl

INTERVAL_SECONDS = 0.2
_COST_SHARE = 0.008
_FREQUENCY_EVERY_SECONDS = 5.0
"""Some systems wake every core to tell its frequency."""


class Sampler:
    """Samples until the block ends; the timeline file is appended to, a line at a time.

    Each line holds `at` (seconds since the epoch), `host_bytes` over the tree by `counter`,
    `high_water_bytes`, `num_processes`, `cpu_seconds` used so far by the tree and `cpu_share` of
    one core since the line before, `gpus` (see ``Gpus.read``), `package_joules` and, now and then,
    `cpu_megahertz`. What the system does not tell is left out.
    """

    def __init__(
        self,
        pid: int,
        timeline: Path,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        gpus: Gpus | None = None,
        rapl: Rapl | None = None,
    ) -> None:
        self._reader = TreeReader(pid, gpus, rapl or Rapl())
        self._timeline = timeline
        self._interval_seconds = interval_seconds
        self._cost_seconds = 0.0
        self._started = time.monotonic()
        self._ended: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    @property
    def cpu_share(self) -> float | None:
        """Of one core, that the sampling took; None before it has ended."""
        seconds = 0.0 if self._ended is None else self._ended - self._started
        return self._cost_seconds / seconds if seconds > 0 else None

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
        self._ended = time.monotonic()

    def _run(self) -> None:
        drop_torn_line(self._timeline)
        with self._timeline.open("a", encoding="utf-8", newline="\n") as file:
            while True:
                sample = self._reader.read()
                if sample is not None:
                    file.write(json.dumps(sample) + "\n")
                    file.flush()
                before, self._cost_seconds = self._cost_seconds, time.thread_time()
                # The next sample will cost about as much as this one did.
                expected = 2 * self._cost_seconds - before
                elapsed = time.monotonic() - self._started
                until_affordable = expected / _COST_SHARE - elapsed
                if self._stop.wait(max(self._interval_seconds, until_affordable)):
                    return


class TreeReader:
    """Remembers what the readings of one tree have to be held against."""

    def __init__(self, pid: int, gpus: Gpus | None, rapl: Rapl) -> None:
        self._pid = pid
        self._gpus = gpus
        self._rapl = rapl
        self._counter = memory_counter()
        self._cpu_seconds: dict[int, float] = {}
        self._cpu_total = 0.0
        self._last_at: float | None = None
        self._frequency_at = -_FREQUENCY_EVERY_SECONDS

    def read(self) -> dict[str, Any] | None:
        """A line of the timeline, or None when the process is gone."""
        host = read_tree(self._pid, self._counter)
        if host is None:
            return None
        at = time.time()
        sample: dict[str, Any] = {
            "at": at,
            "host_bytes": host.host_bytes,
            "counter": self._counter,
            "high_water_bytes": host.high_water_bytes,
            "num_processes": len(host.cpu_seconds),
            **self._cpu(host.cpu_seconds, at),
            "cpu_megahertz": self._megahertz(),
            "package_joules": self._rapl.read() or None,
            "gpus": self._gpus.read(host.cpu_seconds, at) if self._gpus is not None else None,
        }
        return {key: value for key, value in sample.items() if value is not None}

    def _cpu(self, seconds: dict[int, float], at: float) -> dict[str, float | None]:
        """A process that has ended keeps what it had used when it was last seen."""
        gained = sum(now - self._cpu_seconds.get(pid, 0.0) for pid, now in seconds.items())
        last, self._last_at, self._cpu_seconds = self._last_at, at, seconds
        self._cpu_total += gained
        is_first = last is None or at <= last
        share = None if is_first else round(gained / (at - (last or 0.0)), 3)
        return {"cpu_seconds": round(self._cpu_total, 3), "cpu_share": share}

    def _megahertz(self) -> float | None:
        """Mean over the cores."""
        now = time.monotonic()
        if now - self._frequency_at < _FREQUENCY_EVERY_SECONDS:
            return None
        self._frequency_at = now
        with contextlib.suppress(OSError, NotImplementedError, RuntimeError, AttributeError):
            frequency: Any = psutil.cpu_freq()
            return round(frequency.current, 1) or None if frequency is not None else None
        return None
