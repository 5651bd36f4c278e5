"""What ``bakeoff doctor`` found: one finding a line, ``--json`` prints a list of these."""

from typing import Literal

from bakeoff.schema.document import Document

Verdict = Literal["ok", "warning", "problem"]


class Finding(Document):
    check: str
    """What was looked at."""

    verdict: Verdict
    text: str
    command: str | None = None
    """What mends it, as it is typed on this machine; None when there is nothing to type."""
