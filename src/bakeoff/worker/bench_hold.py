"""Hold memory of known sizes for known times: what a sampler that watches from outside must see."""

import json
import mmap
import time
from pathlib import Path
from typing import Any

MARKS = "marks.jsonl"


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Hold `held_bytes`; be idle for `idle_seconds`; then make the `peaks`, and note when.

    Args:
        job: also `peak_bytes`, `peaks` (seconds that each lasts) and `gap_seconds` before each.
        run_dir: where ``marks.jsonl`` gets a line for each: what, from when, until when.
    """
    with (run_dir / MARKS).open("a", encoding="utf-8") as marks:

        def mark(what: str, since: float, seconds: float | None = None) -> None:
            line = {"what": what, "seconds": seconds, "from": since, "to": time.time()}
            marks.write(json.dumps(line) + "\n")
            marks.flush()

        with _held(job["held_bytes"]):
            since = time.time()
            mark("held", since)
            time.sleep(job["idle_seconds"])
            mark("idle", since)
            for seconds in job["peaks"]:
                time.sleep(job["gap_seconds"])
                with _held(job["peak_bytes"]):
                    since = time.time()
                    time.sleep(seconds)
                    mark("peak", since, seconds)
            time.sleep(job["gap_seconds"])


def _held(num_bytes: int) -> mmap.mmap:
    """Memory of which every page is really there, and which the system gets back when closed."""
    held = mmap.mmap(-1, num_bytes)
    for offset in range(0, num_bytes, mmap.PAGESIZE):
        held[offset] = 1
    return held
