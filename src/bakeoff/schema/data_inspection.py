"""What a dataset looks like: the document behind `bakeoff data inspect --json`."""

from typing import Any, Literal

from bakeoff.schema.document import Document


class SplitSize(Document):
    """One split."""

    files: tuple[str, ...]
    num_rows: int
    """Rows that can be used."""

    num_bad_rows: int


class ColumnFacts(Document):
    """One column over all rows that could be read."""

    name: str
    role: str | None
    """What of `data.columns` it is read as, such as `prompt`; None: it is not used."""

    types: dict[str, int]
    """How often a value is text, a number, a list..."""

    num_filled: int
    """Rows in which it is there and not blank."""

    num_rows: int
    longest: int | None
    """Characters of the longest text; None for a column without any."""


class Bin(Document):
    """Rows whose length lies from ``start`` up to, and without, ``end``."""

    start: int
    end: int
    count: int


class Segment(Document):
    """Part of a training text."""

    text: str
    learned: bool


class Sample(Document):
    """One row as the training sees it."""

    place: str
    segments: tuple[Segment, ...]
    """Without the end-of-sequence token, which comes last."""

    token_ids: tuple[int, ...] | None
    """None: no tokenizer is on disk."""

    labels: tuple[int, ...] | None
    """The token's own id where it is learned, -100 elsewhere."""

    num_cut: int | None
    """Tokens at the beginning of the first question that the training does not see, for the row is
    too long; None: no tokenizer is on disk."""

    is_dropped: bool
    """Longer than allowed: the training never sees it."""


class DataInspection(Document):
    """Structure, sizes, first rows and what becomes of them."""

    source: str
    splits: dict[str, SplitSize]
    columns: tuple[ColumnFacts, ...]
    shown_split: str
    """Whose rows, lengths and samples these are."""

    first_rows: tuple[dict[str, Any], ...]
    length_unit: Literal["tokens", "estimated tokens"]
    lengths: tuple[Bin, ...]
    max_length: int
    num_too_long: int
    tokenizer: str | None
    end_token: str | None
    samples: tuple[Sample, ...]
