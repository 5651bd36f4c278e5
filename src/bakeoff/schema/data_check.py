"""What a check of a dataset found: the document behind `bakeoff data check --json`."""

from typing import Literal

from bakeoff.schema.document import Document

Severity = Literal["error", "warning", "info"]


class Example(Document):
    """One place where a finding shows."""

    place: str
    """File and row, as in `rows/train.jsonl, line 17`."""

    text: str
    """What stands there, or what is wrong with it."""

    other_place: str | None = None
    """The other half of a pair."""

    other_text: str | None = None

    share: float | None = None
    """How alike the two are: Jaccard similarity, or the share of common n-grams."""


class Finding(Document):
    """One kind of thing that was found in one split, or between two."""

    code: str
    """Short and stable, as in `contamination-exact`."""

    severity: Severity
    split: str | None
    """`train`, or `test, train` for what stands between two; None: of the whole dataset."""

    message: str
    count: int
    """Rows concerned; exact unless the message says otherwise."""

    out_of: int | None
    """Rows looked at."""

    examples: tuple[Example, ...]
    """The first few."""

    why: str
    todo: str


class Lengths(Document):
    """Length of whole training texts, end-of-sequence token included."""

    unit: Literal["tokens", "estimated tokens"]
    median: int
    percentile_95: int
    longest: int


class SplitFacts(Document):
    """What one split holds."""

    files: tuple[str, ...]
    row_format: str | None
    """Such as `alpaca`; None: no row was of a known format."""

    columns: dict[str, str]
    """Columns that are read, by their role in `data.columns`."""

    num_rows: int
    """Rows that can be used."""

    num_bad_rows: int
    """Rows that cannot."""

    lengths: Lengths | None


class DataCheck(Document):
    """Everything that was found, worst first."""

    source: str
    tokenizer: str | None
    """Folder of the model whose tokenizer counted; None: lengths are estimates."""

    max_length: int
    splits: dict[str, SplitFacts]
    findings: tuple[Finding, ...]
    num_errors: int
    """Findings that are errors."""

    num_warnings: int
    seconds: float
