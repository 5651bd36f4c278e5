"""Which rates full fine-tuning is to be scored with, each by its own reasoning."""

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.compare.rate_curve import best_index, fit_curve, is_edge, mean_of_each
from bakeoff.schema.plan import AxisValue
from bakeoff.schema.recipe_transfer import TransferSpec
from bakeoff.search.transfer_grid import ByRate, Grid


@dataclass(frozen=True)
class Choices:
    arm: str
    """The adapter arm whose search is to help."""

    context: Mapping[str, AxisValue]
    rates: dict[str, float]
    """By the name of the choice, as `bakeoff.schema.transfer.Regret` has them."""


def choose(grid: Grid, spec: TransferSpec) -> Choices | None:
    """In the context in which full fine-tuning did best; None where a curve has no loss at all.

    `LoRA's rate / fitted` must not know what it is held against: dividing LoRA's optimum by the
    ratio of both optima of the same runs would give full fine-tuning's optimum back. So the ratio
    comes from all seeds but the last, and LoRA's rate from the last alone, as somebody would do
    who searched once with LoRA and knew the ratio from elsewhere.
    """
    pairs = [
        (lowest, full, adapter)
        for adapter, full in grid.pairs()
        if (lowest := grid.lowest_mean(full)) is not None and grid.lowest_mean(adapter) is not None
    ]
    if not pairs:
        return None
    first_arm = pairs[0][2][0]
    _, full, adapter = min(
        (pair for pair in pairs if pair[2][0] == first_arm), key=lambda pair: pair[0]
    )
    ours, theirs = grid.losses[adapter], grid.losses[full]
    own, lora = best_rate(theirs), best_rate(ours)
    if own is None or lora is None:
        return None
    rates = {
        "own search": own,
        "LoRA's rate": lora,
        "LoRA's rate / published": lora / spec.published_ratio,
        "default": spec.default_rate,
    }
    fitted = _by_fitted_ratio(ours, theirs)
    if fitted is not None:
        rates["LoRA's rate / fitted"] = fitted
    rounded = {name: float(f"{min(rate, 1.0):.3g}") for name, rate in rates.items()}
    return Choices(arm=adapter[0], context=dict(full[1]), rates=rounded)


def best_rate(losses: ByRate) -> float | None:
    """The fitted optimum, or the best rate that was tried where there is none."""
    rates = sorted(losses)
    rows = [losses[rate] for rate in rates]
    means = mean_of_each(rows)
    best = best_index(means)
    if best is None:
        return None
    if not is_edge(means):
        found = fit_curve(rates, rows)
        if found is not None:
            return float(2.0**found.parabola.optimum_log2)
    return rates[best]


def _by_fitted_ratio(ours: ByRate, theirs: ByRate) -> float | None:
    num_seeds = min(len(row) for row in ours.values())
    if num_seeds < 2:
        return None
    fitted_ours = best_rate({rate: row[:-1] for rate, row in ours.items()})
    fitted_theirs = best_rate({rate: row[:-1] for rate, row in theirs.items()})
    found = best_rate({rate: row[-1:] for rate, row in ours.items()})
    if fitted_ours is None or fitted_theirs is None or found is None:
        return None
    return found * fitted_theirs / fitted_ours
