"""What a search came to: ``search.json``, and what `bakeoff search --json` prints."""

from typing import Any, Literal

from pydantic import Field

from bakeoff.schema.comparison import Interval
from bakeoff.schema.document import Document
from bakeoff.schema.recipe_search import Dimension, Objective, Pruning, SearchMethod

Values = dict[str, Any]
"""Settings by the recipe's dotted keys."""

TrialStatus = Literal["finished", "pruned", "diverged", "failed"]


class Trial(Document):
    """One setting that was tried."""

    number: int
    values: Values
    status: TrialStatus
    objectives: dict[str, float | None]
    run_ids: tuple[str, ...]
    """The training, and the evaluation if one was asked for."""

    num_steps: int | None
    """Of the whole training; None where it did not come to its steps."""

    steps_done: int | None
    step_seconds: float | None
    """Median of its steps."""

    seconds: float | None
    """Of its runs, whenever they were done."""

    tokens: int | None = None
    cost: float | None = None
    reused: bool = False
    """Found finished: it took nothing of the budget."""

    curve: tuple[tuple[int, float], ...] = ()
    """Percent of the training done, and the loss that pruning saw there."""

    error: str | None = None


class Candidate(Document):
    """One of the best settings, trained again with further seeds."""

    trial: int
    values: Values
    run_ids: tuple[str, ...]
    scores: tuple[float | None, ...]
    """The first objective, one for each seed; None: it diverged or failed."""

    mean: float | None
    spread: float | None
    """Standard deviation over the seeds."""

    train_seconds: float | None
    peak_bytes: int | None
    difference: float | None = None
    """Mean paired difference to the best candidate, same seeds; above 0 is worse."""

    interval: Interval | None = None
    p_adjusted: float | None = None
    """Paired t-test against the best candidate, Holm-adjusted; None for the best itself."""

    standing: Literal["best", "not told apart", "worse", "failed"]


class Importance(Document):
    """Share of the differences among the better trials that one setting explains."""

    key: str
    share: float


class Agreement(Document):
    """Whether a proxy put settings into the order that the training that is meant does."""

    num_settings: int
    kendall: float | None
    p_value: float | None


class Saving(Document):
    """What ending trials early left undone."""

    num_pruned: int
    steps_left_out: int
    steps_of_all: int
    """Of all trials, had none been ended early."""

    seconds_left_out: float | None
    """At the median pace of each pruned trial's own training, evaluations not counted."""


class SearchResult(Document):
    study: str
    """Name of the study that holds its runs."""

    objective: tuple[Objective, ...]
    method: SearchMethod
    pruning: Pruning
    space: dict[str, Dimension]
    proxy: Values = Field(default_factory=dict)
    trials: tuple[Trial, ...]
    front: tuple[int, ...]
    """Trials that no other one beats in every objective; the best one alone for one objective."""

    candidates: tuple[Candidate, ...] = ()
    confirm_seeds: tuple[int, ...] = ()
    winner: int | None = None
    """The trial that is better than every other candidate beyond chance; None: there is none."""

    recommended: Values | None = None
    recommended_trial: int | None = None
    sentence: str
    importance: tuple[Importance, ...] = ()
    saving: Saving
    agreement: Agreement | None = None
    spent: dict[str, float | int | None]
    """`runs`, `tokens`, `hours`, `cost` of the trials."""

    ended_because: str
    currency: str | None = None
    notes: tuple[str, ...] = ()
