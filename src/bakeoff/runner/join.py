"""Several machines do one training: the first offers it, the others join.

They share the folders of runs and of the cache, at the same paths. torchrun on each machine meets
the others at `exchange.rendezvous`.
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.base.process import Child
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import Launch
from bakeoff.store.runs import RECORD

OFFER = "launch.json"
_POLL_SECONDS = 1.0


def offer_to_machines(launch: Launch, run_dir: Path, workspace: Workspace) -> str:
    """Write down how other machines take part in a run; the sentence for a person."""
    env = {**launch.env, **workspace.exchange_environment}
    offered = launch.model_copy(update={"env": env, "files": {}})
    write_json_atomic(run_dir / OFFER, offered.model_dump(mode="json"))
    return f"waiting for the other machines: run `bakeoff join {run_dir.parent.resolve()}` on each"


def withdraw_offer(run_dir: Path) -> None:
    """Of a run that was given up: nobody is to join it any more."""
    (run_dir / OFFER).unlink(missing_ok=True)


def waiting_runs(runs_dir: Path) -> Iterator[Path]:
    """Directories of runs that were offered and have not ended."""
    for offer in sorted(runs_dir.glob(f"*/{OFFER}")):
        if not (offer.parent / RECORD).exists():
            yield offer.parent


def join_run(run_dir: Path, *, environment: Mapping[str, str]) -> int:
    """Do this machine's part of a run; the exit code of its processes."""
    launch = Launch.model_validate(read_json(run_dir / OFFER))
    log = run_dir / f"log-{socket.gethostname()}-{os.getpid()}.txt"
    env = {**environment, **launch.env, "BAKEOFF_JOINED": "1"}
    with Child(launch.argv, env=env, cwd=run_dir, log_path=log) as child:
        while (code := child.wait(_POLL_SECONDS)) is None:
            pass
    return code


def join_runs(
    runs_dir: Path,
    *,
    environment: Mapping[str, str],
    once: bool,
    say: Callable[[str], None],
    only: Collection[str] | None = None,
) -> int:
    """Join each run as it is offered, until interrupted; the exit code of the last.

    Args:
        runs_dir: Shared with the machine that runs the study.
        environment: What the processes inherit.
        once: End after one run.
        say: Told what happens.
        only: Names of the runs that are joined; None: all.
    """
    seen: set[tuple[Path, float]] = set()
    say(f"waiting for a training of several machines in {runs_dir}")
    while True:
        for run_dir in waiting_runs(runs_dir):
            if only is not None and run_dir.name not in only:
                continue
            # Offered anew, after a machine was lost say, it is joined anew.
            offer = run_dir, (run_dir / OFFER).stat().st_mtime
            if offer in seen:
                continue
            seen.add(offer)
            say(f"joining {run_dir.name}")
            code = join_run(run_dir, environment=environment)
            say(f"{run_dir.name} ended with exit code {code}")
            if once:
                return code
        time.sleep(_POLL_SECONDS)
