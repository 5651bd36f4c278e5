"""What the experiment of `bakeoff transfer` came to: ``transfer.json``."""

from typing import Literal

from bakeoff.schema.comparison import Interval
from bakeoff.schema.document import Document
from bakeoff.schema.plan import AxisValue

FitStatus = Literal["ok", "edge", "no minimum", "too few rates"]


class RatePoint(Document):
    """One learning rate of one curve."""

    rate: float
    losses: tuple[float | None, ...]
    """Validation loss after training, one a seed; None: diverged or failed."""

    mean: float | None
    """None unless every seed has a loss."""


class Curve(Document):
    """One arm in one context: loss over the learning rate, and where it is lowest."""

    arm: str
    context: dict[str, AxisValue]
    """Further axes that both arms share (`train.batch_size`, ...)."""

    points: tuple[RatePoint, ...]
    status: FitStatus
    best_rate: float | None
    """Of the rates that were tried."""

    optimum: float | None
    """Of the fitted parabola; None unless ``status`` is ok."""

    interval: Interval | None
    curvature: float | None
    """Loss added one doubling (or halving) away from the optimum."""

    r_squared: float | None
    """Of the fit to the mean curve, within the rates that were fitted."""

    fitted_rates: tuple[float, ...]
    three_point_optimum: float | None
    """Of the parabola through the best rate and its neighbours: a check on the fit."""

    lowest_loss: float | None
    """Of the fitted parabola."""

    seed_spread: float | None
    """Standard deviation over seeds of the loss about the seed's own level, pooled over rates."""

    flat_factor: float | None
    """The loss stays within one seed's spread of the lowest up to this factor from the optimum."""


class Ratio(Document):
    """Optimum of LoRA over that of full fine-tuning."""

    arm: str
    context: dict[str, AxisValue]
    ratio: float
    interval: Interval | None
    """None where too many resampled curves had no lowest point."""

    published: float
    low: float
    high: float
    """Bounds of the equivalence test."""

    equivalence_p: float | None
    """Of two one-sided tests (TOST): small if the ratio lies between the bounds."""

    what: Literal["as published", "not as published", "undecided"]
    three_point_ratio: float | None
    grid_ratio: float | None
    """Of the best rates that were tried."""


class RankAgreement(Document):
    """Whether two arms put the same settings into the same order."""

    arm: str
    num_settings: int
    kendall: float
    kendall_interval: Interval | None
    spearman: float
    spearman_interval: Interval | None
    kendall_ceiling: float | None
    """Mean Kendall's tau between halves of the seeds within an arm: noise allows no more."""

    kendall_without_diverged: float | None
    num_diverged: int
    p_value: float | None
    """Of no agreement, by Kendall's tau."""


class Regret(Document):
    """What full fine-tuning loses with a rate that was not found by searching it."""

    choice: Literal[
        "own search", "LoRA's rate", "LoRA's rate / published", "LoRA's rate / fitted", "default"
    ]
    rate: float
    losses: tuple[float | None, ...]
    """One for each seed of ``score_seeds``."""

    mean: float | None
    """Loss above that of full fine-tuning's own best rate, same seeds."""

    interval: Interval | None
    what: Literal["none", "some", "undecided", "diverged", "own"]
    """`none`: the interval lies below the margin; `some`: above it."""


class TransferResult(Document):
    study: str
    methods: tuple[str, ...]
    """Names of the arms."""

    seeds: tuple[int, ...]
    score_seeds: tuple[int, ...]
    curves: tuple[Curve, ...]
    ratios: tuple[Ratio, ...]
    ranks: tuple[RankAgreement, ...]
    regrets: tuple[Regret, ...]
    random_regret: float | None
    """Mean loss above the lowest of a rate drawn from full fine-tuning's grid (grid seeds)."""

    margin: float
    same_batches: bool | None
    """Whether all trainings of a seed saw the same batches; None where a trainer does not tell."""

    num_trainings: int
    wall_seconds: float
    extended: tuple[str, ...]
    """What was added to a grid because the best rate lay on its edge."""

    sentence: str
    notes: tuple[str, ...] = ()
