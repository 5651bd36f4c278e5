"""How a dataset was split: the document `split.json` beside the splits."""

from typing import Annotated

from pydantic import Field

from bakeoff.schema.document import Document

Part = Annotated[float, Field(ge=0)]
"""Below 1 a share of the rows, from 1 on a number of them."""


class SplitSettings(Document):
    """What was asked for."""

    test: Part | None
    """None: the source has a test split of its own, which was kept."""

    validation: Part
    seed: int = 0
    group_by: str | None = None
    """Rows with one value in this column stay together."""

    near_duplicates: bool = False
    """Rows with nearly the same question stay together."""


class SplitRecord(Document):
    """What came of it; equal ids mean equal rows in every split."""

    id: str
    source: str
    settings: SplitSettings
    rows_digest: str
    """Of all rows that were read, in order."""

    num_rows: dict[str, int]
    num_left_out: int
    """Rows that belong together with one of the kept test split, and are in no split now."""

    digests: dict[str, str]
    """SHA-256 of each file."""
