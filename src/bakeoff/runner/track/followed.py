"""One run, followed by its files, as far as one tracker knows it."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bakeoff.base.files import read_json
from bakeoff.interfaces import OpenRun, Point, RunEnd, TrackedRun, Tracker
from bakeoff.runner.process_run import EVENTS, TIMELINE
from bakeoff.runner.track.about import run_end
from bakeoff.runner.track.points import (
    event_points,
    is_shorter,
    memory_points,
    new_lines,
    samples_of,
)
from bakeoff.runner.track.sent import SentRun
from bakeoff.schema.record import Record
from bakeoff.store.runs import RECORD


class Followed:
    """Sends what is new of a run and remembers how far it came.

    Nothing is counted as sent before the tracker has taken it, so that any error can be tried
    again.
    """

    def __init__(self, run_dir: Path, sent: SentRun) -> None:
        self._run_dir = run_dir
        self.sent = sent
        self._open: OpenRun | None = None
        self._record_stamp: int | None = None
        self._record: Record | None = None

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def began_at(self) -> float:
        """Of the run's first event; now where there is none."""
        lines, _ = new_lines(self._run_dir / EVENTS, 0)
        return float(samples_of(lines[:1])[0]["at"]) if lines else time.time()

    def has_news(self) -> bool:
        """Whether there is anything that was not sent."""
        try:
            record = self._read_record()
        except ValueError:
            return False  # of another version: `bakeoff results` tells of it
        if record is not None:
            return self.sent.record != record.provenance.ended_at
        events = self._run_dir / EVENTS
        return self.is_open or (
            events.is_file() and events.stat().st_size != self.sent.events_bytes
        )

    def send(self, tracker: Tracker, run: TrackedRun, *, is_over: bool) -> None:
        """Send what is new.

        Args:
            tracker: Where to.
            run: What the run is.
            is_over: Whether a run without a record will not go on now.
        """
        record = self._read_record()
        opened = self._opened(tracker, run)
        is_whole = record is not None or is_over
        while self._send_events(opened, run) or self._send_memory(opened, is_whole):
            pass
        if record is not None:
            opened.end(run_end(record, run, self._run_dir))
            self._note(record=record.provenance.ended_at)
            self._open = None
        elif is_over:
            opened.end(RunEnd(status="killed", at=time.time()))
            self._open = None

    def forget_open(self) -> None:
        """After an error: the run is opened again when it is tried again."""
        self._open = None

    def _opened(self, tracker: Tracker, run: TrackedRun) -> OpenRun:
        if self._open is None:
            begun_anew = is_shorter(self._run_dir / EVENTS, self.sent.events_bytes)
            if begun_anew:
                self.sent = SentRun()
            self._open = tracker.open(run, self.sent.id)
            if self._open.is_new:
                self.sent = SentRun(id=self._open.id)
            self._note(record=None)
        return self._open

    def _send_events(self, opened: OpenRun, run: TrackedRun) -> bool:
        lines, end = new_lines(self._run_dir / EVENTS, self.sent.events_bytes)
        points = list(self._not_sent(event_points(lines, run.kind)))
        self._log(opened, points)
        self._note(events_bytes=end)
        return bool(lines)

    def _send_memory(self, opened: OpenRun, is_whole: bool) -> bool:  # noqa: FBT001
        lines, _ = new_lines(self._run_dir / TIMELINE, self.sent.timeline_bytes)
        if not lines:
            return False
        samples = samples_of(lines)
        began_at = self.sent.began_at or samples[0]["at"]
        points, used = memory_points(samples, began_at, is_whole=is_whole)
        self._log(opened, list(self._not_sent(points)))
        size = sum(len(line) + 1 for line in lines[:used])
        self._note(timeline_bytes=self.sent.timeline_bytes + size, began_at=began_at)
        return used > 0

    def _log(self, opened: OpenRun, points: list[Point]) -> None:
        if points:
            opened.log(points)
            last = {point.series: point.step for point in points}
            self._note(last_steps={**self.sent.last_steps, **last})

    def _not_sent(self, points: Iterable[Point]) -> Iterator[Point]:
        """Each step once: a training that goes on from a checkpoint does some of them again."""
        last = dict(self.sent.last_steps)
        for point in points:
            if point.step > last.get(point.series, -1):
                last[point.series] = point.step
                yield point

    def _note(self, **news: object) -> None:
        self.sent = self.sent.model_copy(update=news)

    def _read_record(self) -> Record | None:
        path = self._run_dir / RECORD
        try:
            stamp = path.stat().st_mtime_ns
            if stamp != self._record_stamp:
                self._record = Record.model_validate(read_json(path))
                self._record_stamp = stamp
        except FileNotFoundError:
            self._record_stamp, self._record = None, None
        return self._record
