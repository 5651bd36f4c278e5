"""One training or evaluation as a watched child process in its own directory."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.files import iter_jsonl, read_json, write_files, write_text_atomic
from bakeoff.base.process import Child, is_running, log_tail, started_at, stop_tree
from bakeoff.measure.gpu import Gpus, open_gpus
from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.measure.phases import Attempt
from bakeoff.measure.sampler import INTERVAL_SECONDS, Sampler
from bakeoff.schema.events import EndEvent, Event, Status
from bakeoff.schema.plan import Launch
from bakeoff.schema.record import RankPeak

EVENTS = "events.jsonl"
TIMELINE = "timeline.jsonl"
LOG = "log.txt"
_ATTEMPTS = "attempts.jsonl"
_POLL_SECONDS = 0.2
_LEISURE = 50


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one directory holds after its process ended, attempts before this one included."""

    status: Status
    error: str | None
    events: tuple[Event, ...]
    timeline: tuple[dict[str, Any], ...]
    attempts: tuple[Attempt, ...]
    ranks: tuple[RankPeak, ...]
    """As each process of the run saw its own memory."""

    noise: dict[str, float | None]
    """Of this attempt."""

    sampler_cpu_share: float | None


@dataclass(frozen=True, kw_only=True)
class Watching:
    """How a process is watched."""

    interval_seconds: float = INTERVAL_SECONDS
    """Between two samples."""

    silence_limit_seconds: float = math.inf
    """A process that tells nothing for so long is ended."""

    with_gpus: bool = True
    why_end: Callable[[], str | None] = lambda: None
    """Asked again and again; what it answers ends the process, and is why it was cancelled."""


def lock_of(run_dir: Path) -> Path:
    """Beside the run's directory, so that the directory holds results only."""
    return run_dir.parent / ".locks" / f"{run_dir.name}.lock"


def run_process(
    launch: Launch,
    run_dir: Path,
    *,
    environment: Mapping[str, str],
    read_events: Callable[[Path], Iterable[Event]],
    on_event: Callable[[Event], None],
    watching: Watching,
) -> Outcome:
    """Start the process, follow its events, sample its memory, and say how it ended.

    The caller holds the run's lock. An interruption (Ctrl-C) stops the whole process tree and goes
    on up; the directory then holds what a later call continues from. A process that tells nothing,
    neither an event nor a line of its log, for as long as ``watching`` allows, is ended and has
    failed; one that ``watching`` wants ended is cancelled.
    """
    _stop_orphan(run_dir)
    write_files(run_dir, launch.files)
    follower = _Follower(lambda: read_events(run_dir), on_event)
    silence = _Silence(run_dir / LOG, watching.silence_limit_seconds)
    before = mark_noise()
    with (
        _gpus_if(watching.with_gpus) as gpus,
        Child(
            launch.argv,
            env={**environment, **launch.env},
            cwd=run_dir,
            log_path=run_dir / LOG,
        ) as child,
    ):
        _note_attempt(run_dir, child.pid)
        interval = watching.interval_seconds
        with Sampler(
            child.pid, run_dir / TIMELINE, interval_seconds=interval, gpus=gpus
        ) as sampler:
            cancelled = None
            while (code := child.wait(_POLL_SECONDS)) is None and not silence.is_too_long:
                follower.follow_at_leisure()
                silence.look(follower.num_seen)
                if (cancelled := watching.why_end()) is not None:
                    break
        if code is None:
            child.stop()
        _note_end(run_dir)
    after = mark_noise()
    events = follower.follow()
    status: Status
    error: str | None
    if cancelled is not None:
        status, error = "cancelled", cancelled
    elif code is None:
        status, error = _hung(watching.silence_limit_seconds, run_dir / LOG)
    else:
        status, error = _judge(code, events[follower.num_before :], run_dir / LOG)
    timeline, attempts = tuple(_rows(run_dir / TIMELINE)), attempts_of(run_dir, events)
    of_this_attempt = [sample for sample in timeline if attempts[-1].holds(sample["at"])]
    return Outcome(
        status=status,
        error=error,
        events=tuple(events),
        timeline=timeline,
        attempts=attempts,
        ranks=tuple(_ranks(run_dir)),
        noise=noise_between(before, after, of_this_attempt),
        sampler_cpu_share=sampler.cpu_share,
    )


@contextlib.contextmanager
def _gpus_if(wanted: bool) -> Iterator[Gpus | None]:  # noqa: FBT001
    """Those of this machine, open for as long as the block lasts."""
    gpus = open_gpus() if wanted else None
    try:
        yield gpus
    finally:
        if gpus is not None:
            gpus.close()


def _ranks(run_dir: Path) -> Iterator[RankPeak]:
    peaks = [RankPeak.model_validate(read_json(p)) for p in run_dir.glob("memory-rank*.json")]
    yield from sorted(peaks, key=lambda peak: peak.rank)


class _Follower:
    """Passes each event on once; takes its time when reading them all costs time."""

    def __init__(
        self, read: Callable[[], Iterable[Event]], on_event: Callable[[Event], None]
    ) -> None:
        self._read = read
        self._on_event = on_event
        self.num_before = sum(1 for _ in read())
        """Events of earlier attempts."""

        self.num_seen = self.num_before
        self._not_before = 0.0

    def follow_at_leisure(self) -> None:
        """Like ``follow``, but never more than a fiftieth of one core."""
        started = time.monotonic()
        if started >= self._not_before:
            self.follow()
            self._not_before = started + _LEISURE * (time.monotonic() - started)

    def follow(self) -> list[Event]:
        events = list(self._read())
        for event in events[self.num_seen :]:
            self._on_event(event)
        self.num_seen = len(events)
        return events


class _Silence:
    """How long a process has told nothing."""

    def __init__(self, log: Path, limit_seconds: float) -> None:
        self._log = log
        self._limit_seconds = limit_seconds
        self._told: object = None
        self._since = time.monotonic()

    def look(self, num_events: int) -> None:
        told = num_events, self._log.stat().st_size
        if told != self._told:
            self._told, self._since = told, time.monotonic()

    @property
    def is_too_long(self) -> bool:
        return time.monotonic() - self._since > self._limit_seconds


def _judge(code: int, events: list[Event], log: Path) -> tuple[Status, str | None]:
    end = next((event for event in reversed(events) if isinstance(event, EndEvent)), None)
    if code == 0 and end is not None and end.status == "finished":
        return "finished", None
    tail = log_tail(log)
    status: Status = end.status if end is not None and end.status != "finished" else "failed"
    reason = end.error if end is not None and end.error else _reason(code)
    if code == -9 and (end is None or end.status == "finished"):
        status = "out_of_memory"
    return status, f"{reason}\nEnd of {log}:\n{tail}" if tail else reason


def _hung(limit_seconds: float, log: Path) -> tuple[Status, str | None]:
    reason = (
        f"the process told nothing for {limit_seconds / 60:.4g} minutes and was ended; if it needs "
        "longer between two steps, raise `limits.silent_minutes`"
    )
    tail = log_tail(log)
    return "failed", f"{reason}\nEnd of {log}:\n{tail}" if tail else reason


def _reason(code: int) -> str:
    if code == -9:
        return (
            "the process was killed from outside, most likely by the system because memory ran "
            "out; lower train.batch_size or train.max_length"
        )
    if code < 0:
        return f"the process died of signal {-code}"
    return f"the process ended with exit code {code} and without a result"


def _note_attempt(run_dir: Path, pid: int) -> None:
    _append(
        run_dir / _ATTEMPTS, {"pid": pid, "created": started_at(pid), "started_at": time.time()}
    )


def _note_end(run_dir: Path) -> None:
    _append(run_dir / _ATTEMPTS, {"ended_at": time.time()})


def _append(path: Path, row: dict[str, Any]) -> None:
    rows = [*_rows(path), row]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_text_atomic(path, text)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        yield from iter_jsonl(path)


def attempts_of(run_dir: Path, events: list[Event]) -> tuple[Attempt, ...]:
    """Every start of a run's process, in order."""
    return tuple(_attempts(run_dir, events))


def _attempts(run_dir: Path, events: list[Event]) -> Iterator[Attempt]:
    rows = list(_rows(run_dir / _ATTEMPTS))
    starts = [row["started_at"] for row in rows if "started_at" in row]
    signs = [*(event.at for event in events), *(s["at"] for s in _rows(run_dir / TIMELINE))]
    for index, start in enumerate(starts):
        until = starts[index + 1] if index + 1 < len(starts) else float("inf")
        noted = [row["ended_at"] for row in rows if start <= row.get("ended_at", -1.0) < until]
        alive = [at for at in signs if start <= at < until]
        yield Attempt(started_at=start, ended_at=max([*noted, *alive, start]))


def _stop_orphan(run_dir: Path) -> None:
    """A bakeoff that was killed may have left its child running: nobody would collect its work."""
    for row in _rows(run_dir / _ATTEMPTS):
        created = row.get("created")
        if created is not None and is_running(row["pid"], created) and row["pid"] != os.getpid():
            stop_tree(row["pid"])
