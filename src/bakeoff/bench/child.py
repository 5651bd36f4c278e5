"""A process that is timed by its own marks and whose memory is sampled from outside."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError
from bakeoff.base.files import iter_jsonl, read_json, write_files
from bakeoff.base.process import Child, log_tail, started_at
from bakeoff.measure.sampler import Sampler
from bakeoff.schema.plan import Launch

RESULT = "result.json"
_TIMELINE = "timeline.jsonl"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a process did, and what it took."""

    result: dict[str, Any]
    start_seconds: float
    seconds: float
    peak_host_bytes: int | None
    """Until the work was done."""

    added_host_bytes: int | None
    """That peak over the last sample before the work began."""


def run_measured(launch: Launch, folder: Path, *, environment: Mapping[str, str]) -> Measured:
    """Run it in a fresh ``folder``; it leaves ``ready_at`` and ``done_at`` in ``result.json``.

    Raises:
        RunError: It failed; holds the end of its log.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_files(folder, launch.files)
    log = folder / "log.txt"
    with Child(launch.argv, env={**environment, **launch.env}, cwd=folder, log_path=log) as child:
        began = started_at(child.pid)
        with Sampler(child.pid, folder / _TIMELINE):
            while (code := child.wait(0.2)) is None:
                pass
    if code != 0 or began is None or not (folder / RESULT).is_file():
        raise RunError(f"the process ended with exit code {code}", log_tail=log_tail(log))
    result = read_json(folder / RESULT)
    samples = [(s["at"], int(s["host_bytes"])) for s in iter_jsonl(folder / _TIMELINE)]
    before = [held for at, held in samples if at <= result["ready_at"]]
    until = [held for at, held in samples if at <= result["done_at"]]
    peak = max(until, default=None)
    return Measured(
        result=result,
        start_seconds=result["ready_at"] - began,
        seconds=result["done_at"] - result["ready_at"],
        peak_host_bytes=peak,
        added_host_bytes=peak - before[-1] if peak is not None and before else None,
    )
