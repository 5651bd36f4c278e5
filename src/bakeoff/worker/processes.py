"""Starts the processes of one run on this machine, through torchrun.

``python worker/processes.py [TORCHRUN'S OPTIONS] worker/__main__.py JOB_KIND job.json``, in the run
directory. Where a process is lost torchrun ends the others, whose own words would hide the cause:
so the last word, which one was lost first and why, is written here. Exit codes are those of
``__main__.py``.
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

_RENDEZVOUS = "BAKEOFF_RENDEZVOUS"
_KILLED = -9
_TAIL_LINES = 15


def main(arguments: list[str]) -> int:
    _make_importable()
    from bakeoff.worker.__main__ import EXIT_CODES
    from bakeoff.worker.parent import end_with_parent

    end_with_parent()
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun's own choice, which it warns of
    try:
        run(parse_args([*_meeting(arguments), "--max-restarts=0", *arguments]))
    except ChildFailedError as error:
        status, reason = _reason(error, _Work.of(arguments))
    except (SignalException, KeyboardInterrupt):
        status, reason = "cancelled", "stopped on request"
    else:
        return 0
    if _is_first_machine():
        _end(status, reason)
    sys.stderr.write(f"{reason}\n")
    return EXIT_CODES[status]


def _meeting(arguments: list[str]) -> list[str]:
    """Where the processes find each other."""
    if "--nnodes=1" in arguments:
        return ["--standalone"]
    endpoint = os.environ.get(_RENDEZVOUS)
    if not endpoint:
        sys.stderr.write("Set `exchange.rendezvous: HOST:PORT` of the first machine.\n")
        sys.exit(2)
    return [
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={endpoint}",
        # The folder's name is the run's: machines meet for this run and for no other.
        f"--rdzv-id={Path.cwd().name}",
        # Left to guess, it compares addresses, of which a machine may have some it does not know.
        f"--rdzv-conf=is_host={int(_is_first_machine())}",
    ]


class _Work(NamedTuple):
    """What the processes do together, in words."""

    name: str
    memory_hint: str
    num_processes: int
    """On all machines."""

    @classmethod
    def of(cls, arguments: list[str]) -> "_Work":
        sizes = [a.partition("=")[2] for a in arguments if a.startswith(("--nnodes", "--nproc"))]
        number = math.prod(map(int, sizes))
        if "evaluate" in arguments:
            return cls("evaluation", "lower evaluate.batch_size or evaluate.world_size", number)
        return cls("training", "lower train.batch_size or train.max_length", number)


def _reason(error: Any, work: _Work) -> tuple[str, str]:
    """Status and sentence of the process that was lost first."""
    from bakeoff.worker.hang import HANG

    found = Path(HANG)
    if found.is_file():
        hang = json.loads(found.read_text(encoding="utf-8"))
        found.unlink()
        return "failed", f"{hang['text']}{_tail(hang['rank'])}"
    rank, first = min(
        error.failures.items(), key=lambda item: (_is_consequence(*item), item[1].timestamp)
    )
    who = f"Process {rank}"
    told = _told_by(rank)
    elsewhere = [r for r in range(work.num_processes) if r not in error.failures]
    if told is not None and elsewhere and _is_consequence(rank, first):
        silent = [r for r in elsewhere if _told_by(r) is None] or elsewhere
        return "failed", (
            f"A machine that took part was lost, and with it the {work.name}. It ran process "
            f"{', '.join(map(str, silent))}; process {rank} lost the connection: {told[1]}"
        )
    if told is not None:
        status, text = told
        return status, f"{who} ended the {work.name}: {text}{_tail(rank)}"
    if first.exitcode == _KILLED:
        text = (
            "was killed from outside, most likely by the system because memory ran out; "
            f"{work.memory_hint}"
        )
        return "out_of_memory", f"{who} {text}{_tail(rank)}"
    code = first.exitcode
    how = f"died of signal {-code}" if code < 0 else f"ended with exit code {code}"
    return "failed", f"{who} {how}, and with it the {work.name}{_tail(rank)}"


def _is_consequence(rank: int, failure: Any) -> bool:
    """Whether a process only lost the other end of an exchange."""
    told = _told_by(rank)
    return failure.exitcode > 0 and told is not None and "onnection" in told[1]


def _told_by(rank: int) -> tuple[str, str] | None:
    """How a process ended by its own words; None: it had no time for any."""
    from bakeoff.worker.ranks import events_file

    path = events_file(rank)
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1]) if lines else {}
    if last.get("kind") != "end" or last["status"] == "finished":
        return None
    return last["status"], str(last["error"])


def _tail(rank: int) -> str:
    """The end of the log of a process; that of the first one is the run's own."""
    from bakeoff.worker.ranks import log_file

    path = log_file(rank)
    if rank == 0 or not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.rsplit("\r", 1)[-1] for line in lines if line.strip()][-_TAIL_LINES:]
    return "\nEnd of {}:\n{}".format(path, "\n".join(lines)) if lines else ""


def _is_first_machine() -> bool:
    return not os.environ.get("BAKEOFF_JOINED")


def _end(status: str, reason: str) -> None:
    from bakeoff.worker.events import Events
    from bakeoff.worker.ranks import events_file

    events = Events(events_file(0))
    events.end(status, reason)
    events.close()


def _make_importable() -> None:
    """As ``__main__.py`` does; the two run in different processes and share no module."""
    import types

    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    if "bakeoff" not in sys.modules:
        package = types.ModuleType("bakeoff")
        package.__path__ = [str(here.parent)]
        sys.modules["bakeoff"] = package


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
