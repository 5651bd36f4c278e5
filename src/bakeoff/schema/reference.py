"""Published scores, and how a run stands to one."""

from typing import Any

from pydantic import Field

from bakeoff.schema.comparison import Interval
from bakeoff.schema.document import Document


class Reference(Document):
    """One published score."""

    model: str
    """Its id on the hub."""

    task: str
    metric: str
    filter: str
    num_fewshot: int
    value: float
    stderr: float | None = None
    """As published; None: that of a share of right answers is taken."""

    num_items: int
    settings: dict[str, Any] = Field(default_factory=dict)
    """What is known of how it was measured, in the words of ``effective``."""

    source: str
    """Who measured it, and on what."""


class AgainstReference(Document):
    """A run held against a published score."""

    run_id: str
    name: str
    score: float
    stderr: float | None
    num_items: int
    reference: Reference
    reference_stderr: float
    difference: float
    interval: Interval | None
    """Of two independent samples: the answers behind a published score are not known."""

    p_value: float | None
    verdict: str
    differing: tuple[str, ...]
    """What else than chance may be behind a difference: model, items, settings."""
