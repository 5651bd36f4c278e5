"""Memory over the time of each training, and the phases it went through: rows for a chart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.files import iter_jsonl
from bakeoff.compare.names import name_runs
from bakeoff.compare.repeats import without_repeats
from bakeoff.measure.phases import CALIBRATE, Span, process_bytes, spans_of
from bakeoff.runner.process_run import EVENTS, TIMELINE, attempts_of
from bakeoff.schema.events import read_events_file
from bakeoff.schema.record import Record

_MOST_TRAININGS = 6
_MOST_POINTS = 300


@dataclass(frozen=True)
class Timeline:
    """Of one training; seconds count from its (last) start."""

    name: str
    counter: str
    """`host` or `device`."""

    points: tuple[tuple[float, int], ...]
    """Seconds, bytes."""

    phases: tuple[Span, ...]


def timelines(records: Sequence[Record], runs_dir: Path) -> list[Timeline]:
    """Of the first few trainings that are still on disk; repeats look alike and are left out."""
    names = name_runs(records)
    trainings = [r for r in without_repeats(records) if r.kind == "train"]
    found = (_timeline(names[r.run_id], runs_dir / r.run_id) for r in trainings[:_MOST_TRAININGS])
    return [timeline for timeline in found if timeline is not None]


def _timeline(name: str, run_dir: Path) -> Timeline | None:
    if not (run_dir / TIMELINE).is_file():
        return None
    events = list(read_events_file(run_dir / EVENTS))
    attempts = attempts_of(run_dir, events)[-1:]
    samples = [s for s in iter_jsonl(run_dir / TIMELINE) if attempts and attempts[0].holds(s["at"])]
    if not samples:
        return None
    start = attempts[0].started_at
    on_device = any(process_bytes(sample) for sample in samples)
    points = [
        (sample["at"] - start, size)
        for sample in samples
        if (size := process_bytes(sample) if on_device else int(sample["host_bytes"])) is not None
    ]
    ours = (span for span in spans_of(events, attempts) if span.phase != CALIBRATE)
    spans = (Span(span.phase, span.begins - start, span.ends - start) for span in ours)
    counter = "device" if on_device else "host"
    return Timeline(name, counter, tuple(_thinned(points)), tuple(_joined(spans)))


def _thinned(points: Sequence[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    """The highest of each stretch: a peak must not vanish."""
    stretch = -(-len(points) // _MOST_POINTS) or 1
    for begin in range(0, len(points), stretch):
        yield max(points[begin : begin + stretch], key=lambda point: point[1])


def _joined(spans: Iterator[Span]) -> Iterator[Span]:
    """Neighbours of one phase as one."""
    last: Span | None = None
    for span in spans:
        if last is not None and last.phase == span.phase:
            last = Span(last.phase, last.begins, span.ends)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def chart_rows(found: Sequence[Timeline]) -> Mapping[str, list[dict[str, Any]]]:
    """`memory` (name, seconds, gibibytes) and `phases` (name, phase, begins, ends)."""
    return {
        "memory": [
            {"name": line.name, "seconds": round(at, 2), "gibibytes": round(size / 1024**3, 4)}
            for line in found
            for at, size in line.points
        ],
        "phases": [
            {
                "name": line.name,
                "phase": span.phase,
                "begins": round(span.begins, 2),
                "ends": round(span.ends, 2),
            }
            for line in found
            for span in line.phases
        ],
    }
