"""What a tracker has of a study already: ``RUNS/studies/NAME/trackers/TRACKER.json``."""

from pathlib import Path

from pydantic import Field

from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.schema.document import Document


class SentRun(Document):
    """How much of a run's files was sent."""

    id: str | None = None
    """The tracker's own; None: it was never told of the run."""

    events_bytes: int = 0
    timeline_bytes: int = 0
    began_at: float | None = None
    """First sample of the timeline, from which its curves count their seconds."""

    last_steps: dict[str, int] = Field(default_factory=dict)
    """By series. What a resumed training does again is not sent again."""

    record: str | None = None
    """When the run ended whose record was sent."""


class Sent(Document):
    address: str
    """Of the store; what was sent to another one counts for nothing here."""

    runs: dict[str, SentRun] = Field(default_factory=dict)


def load_sent(path: Path, address: str) -> Sent:
    """Of that store; nothing where it is another, or where the file cannot be read."""
    try:
        found = Sent.model_validate(read_json(path))
    except (FileNotFoundError, ValueError):
        return Sent(address=address)
    return found if found.address == address else Sent(address=address)


def save_sent(path: Path, sent: Sent) -> None:
    write_json_atomic(path, sent.model_dump(mode="json"))
