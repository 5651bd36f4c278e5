"""What watching costs, and what it misses: the sampler over processes of known sizes."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import iter_jsonl, write_files
from bakeoff.base.process import Child, log_tail
from bakeoff.bench.machine import machine_now
from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.measure.sampler import Sampler
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import PeakCell, SamplerBench, SamplerCell
from bakeoff.worker_launch import worker_launch

_PEAK_BYTES = 256 << 20
_GAP_SECONDS = 0.6
_SEEN_SHARE = 0.9
_READY_SECONDS = 120.0
_MARKS = "marks.jsonl"


@dataclass(frozen=True, kw_only=True)
class SamplerPlan:
    """What is held, and for how long."""

    held_bytes: tuple[int, ...]
    idle_seconds: float
    peak_seconds: tuple[float, ...]
    num_peaks: int
    """Of each length."""


def run_sampler_bench(
    plan: SamplerPlan, folder: Path, workspace: Workspace, say: Callable[[str], None]
) -> SamplerBench:
    """Watch one process of each size.

    Raises:
        UserError: This machine has not that much memory free.
        RunError: A process failed.
    """
    _require_memory(max(plan.held_bytes) + _PEAK_BYTES)
    say(f"kept in {folder}")
    before = mark_noise()
    cells: list[SamplerCell] = []
    peaks: list[PeakCell] = []
    for held in plan.held_bytes:
        say(f"watching a process of {held / 1024**3:.3g} GiB")
        watch = _Watch(plan, held, folder / f"held-{held}", workspace)
        cells.append(watch.run())
        peaks += watch.peaks()
    return SamplerBench(
        work={
            "peak_bytes": _PEAK_BYTES,
            "idle_seconds": plan.idle_seconds,
            "num_peaks": plan.num_peaks,
        },
        machine={**machine_now(), "noise": [noise_between(before, mark_noise())]},
        cells=tuple(cells),
        peaks=tuple(peaks),
    )


class _Watch:
    """One process, watched while it is idle and while it makes short peaks."""

    def __init__(
        self, plan: SamplerPlan, held_bytes: int, folder: Path, workspace: Workspace
    ) -> None:
        self._plan = plan
        self._held_bytes = held_bytes
        self._folder = folder
        self._workspace = workspace

    def run(self) -> SamplerCell:
        shutil.rmtree(self._folder, ignore_errors=True)
        job = {
            "held_bytes": self._held_bytes,
            "idle_seconds": self._plan.idle_seconds,
            "peak_bytes": _PEAK_BYTES,
            "peaks": list(self._plan.peak_seconds) * self._plan.num_peaks,
            "gap_seconds": _GAP_SECONDS,
        }
        launch = worker_launch("bench_hold", job, python=self._workspace.python, env={})
        write_files(self._folder, launch.files)
        env = {**self._workspace.environment, **launch.env}
        log = self._folder / "log.txt"
        with Child(launch.argv, env=env, cwd=self._folder, log_path=log) as child:
            self._wait_until_held(child, log)
            with Sampler(child.pid, self._folder / "timeline.jsonl"):
                started, used = time.monotonic(), time.process_time()
                # The last second is left for the end of the idle time to be safely behind.
                time.sleep(max(0.5, self._plan.idle_seconds - 1.0))
                seconds = time.monotonic() - started
                core_share = (time.process_time() - used) / seconds
                idle_until = time.time()
                while (code := child.wait(0.2)) is None:
                    pass
        if code != 0:
            raise RunError("the watched process failed", log_tail=log_tail(log))
        idle = [s for s in self._samples() if s["at"] <= idle_until]
        gaps = [after["at"] - before["at"] for before, after in itertools.pairwise(idle)]
        return SamplerCell(
            held_bytes=self._held_bytes,
            sampled_bytes=round(median(sample["host_bytes"] for sample in idle)),
            seconds=seconds,
            num_samples=len(idle),
            interval_seconds=median(gaps) if gaps else None,
            core_share=core_share,
        )

    def peaks(self) -> Iterator[PeakCell]:
        """How many of each length show in the timeline."""
        wanted = self._held_bytes + _SEEN_SHARE * _PEAK_BYTES
        high = [s["at"] for s in self._samples() if s["host_bytes"] >= wanted]
        made = [mark for mark in iter_jsonl(self._folder / _MARKS) if mark["what"] == "peak"]
        for seconds in self._plan.peak_seconds:
            spans = [(m["from"], m["to"]) for m in made if m["seconds"] == seconds]
            yield PeakCell(
                held_bytes=self._held_bytes,
                peak_seconds=seconds,
                num_peaks=len(spans),
                num_seen=sum(_is_seen(span, high) for span in spans),
            )

    def _samples(self) -> list[dict[str, Any]]:
        return list(iter_jsonl(self._folder / "timeline.jsonl"))

    def _wait_until_held(self, child: Child, log: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not (marks := self._folder / _MARKS).is_file() or not marks.read_bytes():
            if child.wait(0.05) is not None or time.monotonic() > deadline:
                raise RunError("the watched process did not begin", log_tail=log_tail(log))


def _is_seen(span: tuple[float, float], high: Sequence[float]) -> bool:
    """A sample is noted after it was taken, at most half a gap before the next peak."""
    return any(span[0] <= at <= span[1] + _GAP_SECONDS / 2 for at in high)


def _require_memory(needed: int) -> None:
    free = psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"a process of {needed / 1024**3:.1f} GiB is to be watched, but only "
            f"{free / 1024**3:.1f} GiB are free",
            hint="name smaller sizes with --gib",
        )
