"""A watched process: what it comes to when it hangs."""

import sys
import time

import psutil

from bakeoff.runner.process_run import Watching, run_process
from bakeoff.schema.events import read_events_file
from bakeoff.schema.plan import Launch

SILENT = "import time; print('loading', flush=True); time.sleep(600)"
TALKING = """
import time
for number in range(8):
    print(number, flush=True)
    time.sleep(0.5)
"""


def _run(folder, code, **watching):
    return run_process(
        Launch(argv=(sys.executable, "-c", code)),
        folder,
        environment={},
        read_events=lambda run_dir: read_events_file(run_dir / "events.jsonl"),
        on_event=lambda _: None,
        watching=Watching(**{"silence_limit_seconds": 2.0, **watching}),
    )


def test_a_process_that_tells_nothing_is_ended_and_has_failed(tmp_path):
    started = time.monotonic()
    outcome = _run(tmp_path, SILENT)
    assert time.monotonic() - started < 60
    assert outcome.status == "failed"
    assert "told nothing for 0.03333 minutes" in outcome.error
    assert "limits.silent_minutes" in outcome.error
    assert outcome.error.endswith("loading")
    left = [c for c in psutil.Process().children(recursive=True) if SILENT in c.cmdline()]
    assert left == []


def test_a_process_that_goes_on_telling_is_left_alone(tmp_path):
    # It takes longer than the limit, but ends by itself; without a result that is a failure too.
    outcome = _run(tmp_path, TALKING)
    assert "ended with exit code 0 and without a result" in outcome.error


def test_a_process_that_is_no_longer_wanted_is_ended_and_cancelled(tmp_path):
    log = tmp_path / "log.txt"
    outcome = _run(
        tmp_path,
        SILENT,
        silence_limit_seconds=60.0,
        why_end=lambda: "pruned" if "loading" in log.read_text("utf-8") else None,
    )
    assert (outcome.status, outcome.error) == ("cancelled", "pruned")
    left = [c for c in psutil.Process().children(recursive=True) if SILENT in c.cmdline()]
    assert left == []
