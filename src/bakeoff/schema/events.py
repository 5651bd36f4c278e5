"""What a run says while it runs: one JSON object a line in ``events.jsonl``.

Every event carries ``at``, seconds since the epoch by the clock of the process that wrote it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bakeoff.base.files import iter_jsonl
from bakeoff.schema.document import Document

Status = Literal["finished", "failed", "out_of_memory", "cancelled"]

Phase = Literal[
    "import",
    "prepare",
    "load_model",
    "load_data",
    "train",
    "validate",
    "save",
    "evaluate",
    "convert",
    "calibrate",
]
"""`prepare` is what a framework does around loading (arguments, building its trainer); `calibrate`
measures the device after the work is done, and belongs to no run's time."""


class PhaseEvent(Document):
    """A phase begins; it lasts until the next one begins or the process ends."""

    kind: Literal["phase"] = "phase"
    at: float
    phase: Phase
    host_bytes: int | None = None
    """Memory of the process and its children at that moment, by the timeline's counter; read where
    a phase begins for the first time, None where the system does not tell."""


class ProgressEvent(Document):
    """How much of the present phase is done."""

    kind: Literal["progress"] = "progress"
    at: float
    done: int
    total: int
    unit: str


class StepEvent(Document):
    """One optimiser step is done. None where the backend did not say; never a placeholder."""

    kind: Literal["step"] = "step"
    at: float
    step: int
    """Counted from 1."""

    num_steps: int
    """How many there will be."""

    loss: float | None
    """Mean over the label tokens of the step."""

    learning_rate: float | None = None
    grad_norm: float | None = None
    """Before clipping."""

    seconds: float | None = None
    num_rows: int | None = None
    num_tokens: int | None = None
    num_label_tokens: int | None = None


class ValidationEvent(Document):
    kind: Literal["validation"] = "validation"
    at: float
    step: int
    """Optimiser steps done before it; 0 is the untouched model."""

    loss: float
    num_label_tokens: int | None = None


class AnswersEvent(Document):
    """A few held-out questions were answered during a training."""

    kind: Literal["answers"] = "answers"
    at: float
    step: int
    """Optimiser steps done before it; 0 is the untouched model."""

    num_questions: int
    num_right: int
    num_ended: int
    """Answers that ended by themselves."""


class WarningEvent(Document):
    """Something that a person should know about this run."""

    kind: Literal["warning"] = "warning"
    at: float
    text: str


class ResumeEvent(Document):
    """The run goes on from a checkpoint; later steps in the file replace earlier equal ones."""

    kind: Literal["resume"] = "resume"
    at: float
    step: int


class EndEvent(Document):
    kind: Literal["end"] = "end"
    at: float
    status: Status
    error: str | None = None


Event = Annotated[
    PhaseEvent
    | ProgressEvent
    | StepEvent
    | ValidationEvent
    | AnswersEvent
    | WarningEvent
    | ResumeEvent
    | EndEvent,
    Field(discriminator="kind"),
]

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def event_of_line(line: bytes) -> Event:
    """Raises pydantic's ValidationError for a line that is no event."""
    return _EVENT.validate_json(line)


def read_events_file(path: Path) -> Iterator[Event]:
    """Events of a file that may still be written to, oldest first; none when it is missing."""
    if path.exists():
        for line in iter_jsonl(path):
            yield _EVENT.validate_python(line)
