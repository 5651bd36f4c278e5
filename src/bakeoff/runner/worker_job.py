"""A short job of the worker that leaves no record, such as converting a model."""

from collections.abc import Mapping
from pathlib import Path

from bakeoff.base.errors import RunError
from bakeoff.base.files import write_files
from bakeoff.base.process import Child, log_tail
from bakeoff.schema.events import EndEvent, read_events_file
from bakeoff.schema.plan import Launch


def run_worker(launch: Launch, folder: Path, *, environment: Mapping[str, str]) -> None:
    """Write the launch's files into ``folder`` and run it there.

    Raises:
        RunError: It failed; says what the worker says, and holds the end of its log.
    """
    write_files(folder, launch.files)
    log = folder / "log.txt"
    with Child(launch.argv, env={**environment, **launch.env}, cwd=folder, log_path=log) as child:
        while (code := child.wait(1.0)) is None:
            pass
    if code != 0:
        reason = f"`{' '.join(launch.argv[-2:])}` ended with exit code {code}"
        raise RunError(_told(folder) or reason, log_tail=log_tail(log))


def _told(folder: Path) -> str | None:
    """The worker's own sentence, which it does not repeat in its log."""
    events = read_events_file(folder / "events.jsonl")
    return next((event.error for event in events if isinstance(event, EndEvent)), None)
