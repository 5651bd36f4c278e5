"""How much processes exchange in a step, and how long it takes: one step seen by torch's profiler.

It is a step that warms up, whose time counts for nothing: the second where there are two such
steps, else the first. Of each collective of the first process the bytes are told that a process
sends in a ring (Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002), so that they can be held
against the method's formula. gloo sums by `all_reduce` what NCCL sums by `reduce_scatter`.
"""

import math
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from torch.autograd import profiler

from bakeoff.worker.machine import write_json_atomic

EXCHANGE = "exchange.json"
_BACKENDS = ("gloo:", "nccl:")
_ITEM_BYTES = {
    "float": 4, "c10::BFloat16": 2, "c10::Half": 2, "double": 8, "long int": 8, "int": 4,
    "unsigned char": 1, "signed char": 1, "bool": 1,
}  # fmt: skip


_SENT = {
    "all_reduce": lambda size, n: 2 * size * (n - 1) / n,
    "reduce_scatter": lambda size, n: size * (n - 1) / n,
    "all_gather": lambda size, n: size * (n - 1),
    "allgather": lambda size, n: size * (n - 1),
}
"""By the bytes that are handed to it, and the number of processes; else all of them once."""


class ExchangeWatch:
    """Of one process; looks at one step and writes what it saw."""

    def __init__(self, run_dir: Path, *, num_steps: int, num_processes: int) -> None:
        self._run_dir = run_dir
        self._num_processes = num_processes
        self._step = 2 if math.ceil(num_steps / 10) > 1 else 1
        self._is_watching = False
        self._start = 0.0

    def begin(self, step: int) -> None:
        """A step, counted from 1, begins."""
        if step == self._step:
            self._is_watching = True
            _start()
            self._start = time.perf_counter()

    def end(self) -> None:
        """The step is done."""
        if not self._is_watching:
            return
        self._is_watching = False
        seconds = time.perf_counter() - self._start
        found = _collectives(_stop(), self._num_processes)
        write_json_atomic(self._run_dir / EXCHANGE, {"step_seconds": seconds, **found})


def _start() -> None:
    """Begin to record.

    What ``torch.profiler`` makes of the events in the end takes gigabytes for a step of many small
    operations, and would be this process's peak; so the recorder below it is used.
    """
    recorder = profiler.profile(record_shapes=True, use_kineto=True)
    recorder._prepare_trace()
    recorder._start_trace()


def _stop() -> Any:
    """Recorded events."""
    return profiler._disable_profiler().events()


def _collectives(events: Any, num_processes: int) -> dict[str, Any]:
    sizes: dict[str, int] = defaultdict(int)
    spans = []
    for event in events:
        if event.name().startswith(_BACKENDS):
            name = event.name().partition(":")[2].strip("_").removesuffix("_base")
            size = _num_bytes(event.shapes(), event.dtypes())
            sizes[name] += round(_SENT.get(name, lambda size, _: size)(size, num_processes))
            spans.append((event.start_ns(), event.start_ns() + event.duration_ns()))
    return {
        "num_bytes": sum(sizes.values()),
        "bytes_by_collective": dict(sizes),
        "seconds": _covered(spans) / 1e9,
    }


def _num_bytes(shapes: list[Any], types: list[str]) -> int:
    """Of the tensors among a collective's inputs."""
    total = 0
    for shape, kind in zip(shapes, types, strict=False):
        if shape and isinstance(shape[0], int):
            total += math.prod(shape) * _ITEM_BYTES.get(kind, 4)
    return total


def _covered(spans: list[tuple[int, int]]) -> int:
    """Time in which at least one ran."""
    total, end = 0, 0
    for start, stop in sorted(spans):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
