"""``python worker/__main__.py JOB_KIND job.json``, in the run directory: do one job.

It runs in the environment of a trainer or an engine, where bakeoff itself may be missing. The
phase ``import`` and the ``end`` event are written here; the job writes the rest of
``events.jsonl``, and ``result.json`` as its last act. Exit code: 0 finished, 1 failed, 2 called
wrongly, 3 out of memory, 130 cancelled.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOBS = {
    "train": "bakeoff.worker.train",
    "framework": "bakeoff.worker.framework",
    "evaluate": "bakeoff.worker.evaluate",
    "convert": "bakeoff.worker.convert",
    "fold": "bakeoff.worker.fold",
    "to_gguf": "bakeoff.worker.to_gguf",
    "ask_gguf": "bakeoff.worker.ask_gguf",
    "chat": "bakeoff.worker.chat",
    "talk": "bakeoff.worker.talk",
    "serve": "bakeoff.worker.serve",
    "reference": "bakeoff.worker.reference",
    "trial": "bakeoff.worker.trial",
    "bench_hold": "bakeoff.worker.bench_hold",
    "bench_rows": "bakeoff.worker.bench_rows",
    "trace": "bakeoff.worker.trace",
}
_TRAININGS = ("train", "framework")
_MEASURED = (*_TRAININGS, "evaluate")
_COLLECT_LATER = ("train", "evaluate")
"""Jobs that call ``machine.begin_collecting`` when everything is loaded: until then next to nothing
becomes garbage, and looking for it takes time."""
EXIT_CODES = {"finished": 0, "failed": 1, "out_of_memory": 3, "cancelled": 130}


class Cancelled(BaseException):
    """Somebody asked the process to stop."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in JOBS:
        sys.stderr.write(f"usage: __main__.py {{{','.join(JOBS)}}} job.json\n")
        return 2
    kind, job_file = arguments
    _make_importable()
    from bakeoff.worker.events import Events
    from bakeoff.worker.memory_watch import WATCH
    from bakeoff.worker.parent import end_with_parent
    from bakeoff.worker.ranks import events_file, log_file, rank_here

    if kind != "chat":  # whose input is what a person types
        end_with_parent(with_group=kind == "serve")  # vLLM has processes of its own
    _raise_on_signals()
    rank = rank_here()
    if rank > 0:
        _write_into(log_file(rank))
    with contextlib.closing(Events(events_file(rank))) as events:
        status, message = _run(kind, Path(job_file), events)
        if kind in _MEASURED:
            with contextlib.suppress(OSError):  # a full disk must not hide how the run ended
                WATCH.write(Path())
        if status == "finished" and kind in _TRAININGS and rank == 0:
            with contextlib.suppress(OSError, Cancelled, KeyboardInterrupt):  # the work is done
                importlib.import_module("bakeoff.worker.calibrate").main(events)
        events.end(status, message)
    return EXIT_CODES[status]


def _run(kind: str, job_file: Path, events: Any) -> tuple[str, str | None]:
    """Do the job; give its status and, unless it finished, what a person should read."""
    try:
        events.phase("import")
        job = json.loads(job_file.read_text(encoding="utf-8"))
        for module in _not_needed(kind, job):
            sys.modules[module] = None  # type: ignore[assignment]
        if kind in _COLLECT_LATER:
            gc.disable()
        importlib.import_module(JOBS[kind]).main(job)
    except (Cancelled, KeyboardInterrupt):
        return "cancelled", "stopped on request"
    except Exception as error:  # noqa: BLE001 - every failure becomes the outcome of the run
        from bakeoff.worker.failures import JobError, classify

        if not isinstance(error, JobError):
            traceback.print_exc()
        return classify(error, kind)
    else:
        return "finished", None


def _not_needed(kind: str, job: dict[str, Any]) -> Iterator[str]:
    """Modules that the job does not use, and that count as not installed therefore.

    transformers, accelerate and PEFT import them wherever they are there: seconds and memory.
    """
    if (job.get("spread") or {}).get("kind") == "deepspeed":
        return
    yield "deepspeed"
    if kind == "train" and not job["trust_remote_code"]:  # whose imports nobody knows
        yield "scipy"  # for losses of object detection
        config = Path(job["model_dir"], "config.json")
        is_quantised = config.is_file() and "bitsandbytes" in config.read_text(encoding="utf-8")
        if job["train"].get("optimizer", "adamw") == "adamw" and not is_quantised:
            yield "bitsandbytes"


def _write_into(log: Path) -> None:
    """One of several processes: what it says must not be mixed up with what others say."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def _make_importable() -> None:
    """Let ``import bakeoff.worker`` find the files beside this one, and only as part of bakeoff.

    The script's own folder leaves ``sys.path``: its ``evaluate.py`` must not hide the package
    `evaluate` that other libraries import.
    """
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    if "bakeoff" not in sys.modules:
        package = types.ModuleType("bakeoff")
        package.__path__ = [str(here.parent)]
        sys.modules["bakeoff"] = package


def _raise_on_signals() -> None:
    """Turn the first request to stop into an exception; later ones must not disturb its end."""
    requests = [
        getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
    ]

    def stop(*_: object) -> None:
        for request in requests:
            signal.signal(request, signal.SIG_IGN)
        raise Cancelled

    for request in requests:
        signal.signal(request, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
