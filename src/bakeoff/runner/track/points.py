"""Lines of a run's files become points of curves."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from bakeoff.interfaces import Point
from bakeoff.measure.phases import process_bytes
from bakeoff.schema.events import (
    AnswersEvent,
    ProgressEvent,
    StepEvent,
    ValidationEvent,
    event_of_line,
)

GIB = 1 << 30
_WINDOWS = 300
_MOST_BYTES = 4 << 20


def new_lines(path: Path, start: int) -> tuple[list[bytes], int]:
    """Whole lines behind ``start``, some megabytes at most, and where the next ones begin."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return [], start
    whole = content[: content.rfind(b"\n") + 1]
    return whole.splitlines(), start + len(whole)


def is_shorter(path: Path, size: int) -> bool:
    """Whether a file has lost what was read of it: the run was begun anew."""
    return size > 0 and (not path.is_file() or path.stat().st_size < size)


def event_points(lines: Iterable[bytes], kind: Literal["train", "eval"]) -> Iterator[Point]:
    """Curves of the losses, the speed and the answers; of an evaluation, how much is answered."""
    for line in lines:
        event = event_of_line(line)
        if isinstance(event, ProgressEvent):
            if kind == "eval":
                series = f"progress/{event.unit}"
                yield Point(series=series, step=event.done, value=event.done, at=event.at)
        elif isinstance(event, StepEvent | ValidationEvent | AnswersEvent):
            for series, value in _values(event):
                if value is not None:
                    yield Point(series=series, step=event.step, value=value, at=event.at)


def _values(
    event: StepEvent | ValidationEvent | AnswersEvent,
) -> Iterator[tuple[str, float | None]]:
    if isinstance(event, StepEvent):
        yield "train/loss", event.loss
        yield "train/learning_rate", event.learning_rate
        yield "train/grad_norm", event.grad_norm
        yield "train/step_seconds", event.seconds
        if event.num_tokens is not None and event.seconds:
            yield "train/tokens_per_second", event.num_tokens / event.seconds
    elif isinstance(event, ValidationEvent):
        yield "validation/loss", event.loss
    else:
        yield "answers/right_share", event.num_right / event.num_questions
        yield "answers/ended_share", event.num_ended / event.num_questions


def memory_points(
    samples: Sequence[dict[str, Any]], began_at: float, *, is_whole: bool
) -> tuple[list[Point], int]:
    """The peak of each stretch of time, and how many samples belong to stretches that have ended.

    A stretch is a second at first and grows with the time that has passed, so that the peaks of a
    day are some two thousand points.

    Args:
        samples: Lines of a timeline.
        began_at: When the first one of the run was taken.
        is_whole: Whether no more are to come, so that the last stretch has ended as well.
    """
    points: list[Point] = []
    used = 0
    while used < len(samples):
        start = samples[used]["at"]
        width = max(1.0, (start - began_at) / _WINDOWS)
        end = next(
            (i for i in range(used, len(samples)) if samples[i]["at"] >= start + width), None
        )
        if end is None and not is_whole:
            break
        stretch = samples[used:end]
        points += _peaks(stretch, round(start - began_at))
        used += len(stretch)
    return points, used


def _peaks(samples: Sequence[dict[str, Any]], step: int) -> Iterator[Point]:
    for series, read in (("memory/host_gib", _host_bytes), ("memory/gpu_gib", process_bytes)):
        found = [(size, s["at"]) for s in samples if (size := read(s)) is not None]
        if found:
            size, at = max(found)
            yield Point(series=series, step=step, value=size / GIB, at=at)


def _host_bytes(sample: dict[str, Any]) -> int | None:
    found: int | None = sample.get("host_bytes")
    return found


def samples_of(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]
