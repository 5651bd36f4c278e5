"""What comparing runs came to: printed by ``bakeoff compare --json``, shown by every report.

Shares of right answers lie between 0 and 1, and so do differences (0.408 is 40.8 points). What
cannot be computed is None.
"""

from typing import Literal

from bakeoff.schema.document import Document
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Sample


class Interval(Document):
    low: float
    high: float
    level: float = 0.95
    method: Literal[
        "bca", "percentile", "exact", "wilson", "hierarchical", "clustered", "newcombe", "t"
    ]


class PairedDifference(Document):
    """Two models on the same items: the tuned one (``model``) minus the one it is held against."""

    num_items: int
    model_mean: float
    baseline_mean: float
    difference: float
    standard_error: float | None
    """Of the paired difference, clustered where items hang together; None for a single item."""

    num_clusters: int | None = None
    """Groups of items that hang together; None: every item stands alone."""

    unclustered_error: float | None = None
    """The standard error if they stood alone; None unless there are clusters."""

    interval: Interval | None
    num_only_model_right: int | None
    """McNemar's count b; None where items score between 0 and 1."""

    num_only_baseline_right: int | None
    """McNemar's count c."""

    num_both_right: int | None = None
    """With b, c and the next the whole table of agreement."""

    num_neither_right: int | None = None
    test: Literal["exact McNemar", "paired t", "clustered t"]
    p_value: float | None
    """Two-sided, before any correction."""

    smallest_detectable: float | None
    """Smallest true difference found with 80 % power at alpha 0.05; None: none at this size."""

    num_items_to_decide: int | None
    """Items needed for 80 % power if the truth is the difference seen; None when that is 0."""


class Row(Document):
    """One evaluated model under one filter, and what it cost: a line of the results table."""

    run_id: str
    name: str
    """What a person calls it: `base model`, `LoRA`, `LoRA, swift, seed 1`."""

    is_base: bool
    train_run_id: str | None
    baseline_run_id: str | None
    """The evaluation of the untouched model that ``difference`` is held against."""

    cell: dict[str, AxisValue]
    task: str
    metric: str
    filter: str
    is_headline: bool
    """Scored by the filter that stands for the task; see `bakeoff.schema.figures.headline`."""

    num_fewshot: int
    accuracy: float
    stderr: float | None
    accuracy_interval: Interval | None
    num_items: int
    difference: PairedDifference | None
    """To the base model; None for the base model itself and where there is nothing to compare."""

    p_adjusted: float | None
    """Holm-adjusted over every difference of the same kind (headline or not) in the table."""

    share_token_limit: float | None = None
    """Answers that were cut off at the token limit."""

    train_seconds: float | None = None
    """As the next two the median, where the training was repeated for its times."""

    tokens_per_second: float | None = None
    peak_bytes: int | None = None
    num_turns: int = 1
    """How often the training was done."""

    train_seconds_range: tuple[float, float] | None = None
    """Lowest and highest; None of a single one, as of the next."""

    peak_bytes_range: tuple[int, int] | None = None
    predicted_bytes: int | None = None
    """By the counter of ``peak_bytes``, before the training began."""

    peak_counter: str | None = None
    """Where the peak was read: `device, process`, `host, pss`, ..."""

    num_trained_parameters: int | None = None
    notes: tuple[str, ...] = ()
    """Why a difference is missing, or what to keep in mind."""


class FormatShare(Document):
    """How much of a gain under strict-match is form rather than better answers."""

    name: str
    num_fewshot: int
    strict_gain: float
    flexible_gain: float
    format_gain: float
    """strict_gain minus flexible_gain."""

    text: str


class Pair(Document):
    """Two trained models of a study, held against each other by the headline filter."""

    name: str
    other_name: str
    """The difference is the first minus this one."""

    num_fewshot: int
    task: str
    difference: PairedDifference
    p_adjusted: float | None


class SeedGroup(Document):
    """The same cell with several seeds."""

    name: str
    num_fewshot: int
    seeds: tuple[AxisValue, ...]
    mean_accuracy: float
    spread: float
    """Standard deviation over the seeds."""

    mean_difference: float | None
    interval: Interval | None
    """Of the mean difference, seeds and items both drawn again."""


class Equivalence(Document):
    """Two one-sided tests: does the difference lie within a margin?"""

    margin: float
    low: float
    """Of the 90 % interval, which lies within the margin when both tests reject at 0.05."""

    high: float
    p_value: float
    """The larger of the two."""

    p_adjusted: float | None
    is_equivalent: bool


class AcrossSeeds(Document):
    """Two methods over all of their seeds."""

    name: str
    baseline_name: str
    filter: str
    metric: str
    seeds: tuple[AxisValue, ...]
    baseline_seeds: tuple[AxisValue, ...]
    """Empty: the baseline was not trained."""

    mean: float
    baseline_mean: float
    mean_difference: float
    interval: Interval | None
    """Seeds of either method and items all drawn again."""

    verdict: str


class Flip(Document):
    """An item that one of two evaluations has right and the other has not."""

    is_worse: bool
    """Right in the other, wrong in the one that is looked at."""

    sample: Sample
    other: Sample


class ComparedRun(Document):
    """A run held against the baseline, under one filter."""

    run_id: str
    name: str
    filter: str
    metric: str
    is_headline: bool
    difference: PairedDifference
    p_adjusted: float | None
    verdict: str
    equivalence: Equivalence | None = None
    """By the margin that was asked for."""

    notes: tuple[str, ...] = ()


class Comparison(Document):
    """The answer of ``bakeoff compare``: every run against the first one named."""

    baseline_run_id: str
    baseline_name: str
    task: str
    num_fewshot: int
    compared: tuple[ComparedRun, ...]
    format_shares: tuple[FormatShare, ...] = ()
    across_seeds: tuple[AcrossSeeds, ...] = ()
    """Where a method was trained with several seeds."""

    holm_family: tuple[int, int]
    """Number of tests corrected together: by the headline filter, by the others."""

    warnings: tuple[str, ...] = ()
