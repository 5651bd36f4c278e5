"""`bakeoff track`."""

import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out
from bakeoff.cli.places import DEFAULT_RUNS_DIR, RunsDir

if TYPE_CHECKING:
    from bakeoff.interfaces import Tracker
    from bakeoff.runner.track.reporter import Wait
    from bakeoff.store.runs import Store


def track(
    study: Annotated[str, typer.Argument(help="Name of the study.", show_default=False)],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            help="mlflow, swanlab, tensorboard, trackio or wandb; repeatable.",
            metavar="NAME",
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as the study goes on, until Ctrl-C.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
) -> None:
    """Send a study's runs to a tracker: what is finished, and with --follow what is going on.

    Safe to repeat: nothing is sent twice.
    """
    from bakeoff.store.runs import Store

    if follow and len(to) > 1:
        raise UserError("--follow takes one --to", hint="start one command for each tracker")
    store = Store(runs_dir.resolve())
    store.study(study)
    _require_installed(to)
    all_sent = [_send(store, study, name, follow=follow) for name in dict.fromkeys(to)]
    raise typer.Exit(0 if all(all_sent) else 1)


def _require_installed(names: list[str]) -> None:
    from bakeoff.runner.prepare import install_line, shortfalls
    from bakeoff.trackers import TRACKERS

    for name in names:
        missing = shortfalls(TRACKERS.get(name).requirements)
        if missing:
            raise UserError(f"`{name}` needs {', '.join(missing)}", hint=install_line(name))


def _send(store: "Store", study: str, name: str, *, follow: bool) -> bool:
    from bakeoff.runner.track.reporter import Reporter

    tracker = make_tracker_here(name, store.runs_dir)
    command = tracker.look()
    # The clients read their settings from the environment alone.
    os.environ.update({**tracker.variables(), **os.environ})
    reporter = Reporter(
        store,
        study,
        name,
        tracker,
        lambda text: err().print(f"{name}: {text}", markup=False, soft_wrap=True),
    )
    all_sent = reporter.run(_until_input_ends() if follow else lambda _: True)
    err().print(f"{name}: {reporter.num_sent} runs sent")
    out().print(f"{name}  {command}", markup=False, soft_wrap=True)
    return all_sent


def make_tracker_here(name: str, runs_dir: Path) -> "Tracker":
    """As this environment says."""
    from bakeoff.runner.track.reporter import make_tracker

    return make_tracker(name, runs_dir, dict(os.environ))


def _until_input_ends() -> "Wait":
    """Of a process that a study started, whose input ends with the study, however that ends.

    What is left then may take three minutes: no tracker that does not answer keeps it alive.
    """
    from bakeoff.base.process import step_back, wait_for_end_of_input
    from bakeoff.runner.track.reporters import LAST_SECONDS

    ended = threading.Event()
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        step_back()

        def watch() -> None:
            wait_for_end_of_input()
            ended.set()
            time.sleep(LAST_SECONDS)
            os._exit(1)

        threading.Thread(target=watch, name="study-watch", daemon=True).start()
        return ended.wait

    def wait_for_interruption(seconds: float) -> bool:
        try:
            time.sleep(seconds)
        except KeyboardInterrupt:
            return True
        return False

    return wait_for_interruption
