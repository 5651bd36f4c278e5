"""What a transfer experiment came to, judged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from bakeoff.compare.rate_curve import (
    Fit,
    best_index,
    fit_curve,
    is_edge,
    mean_of_each,
    three_point_optimum,
)
from bakeoff.compare.transfer import (
    draw_seeds,
    interval_of_factor,
    judge_ratio,
    judge_regret,
    optimum_draws,
    rank_agreement,
)
from bakeoff.compare.transfer_words import sentence_of
from bakeoff.schema.record import Record
from bakeoff.schema.transfer import (
    Curve,
    FitStatus,
    RankAgreement,
    RatePoint,
    Ratio,
    Regret,
    TransferResult,
)
from bakeoff.search.transfer_choices import Choices
from bakeoff.search.transfer_grid import Grid, Key
from bakeoff.search.transfer_plan import FULL, Transfer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_RANK_RESAMPLES = 1_000
_ENOUGH_SETTINGS = 12
"""At so many Kendall's tau of 0.5 has a two-sided p of about 0.024."""


@dataclass(frozen=True)
class Scored:
    losses: dict[float, dict[int, float | None]]
    """By rate and seed, of full fine-tuning."""

    records: tuple[Record, ...]


@dataclass(frozen=True)
class _Fitted:
    curve: Curve
    fit: Fit | None
    log2_draws: "npt.NDArray[np.float64] | None"


def make_transfer_result(
    transfer: Transfer,
    grid: Grid,
    choices: Choices | None,
    scored: Scored,
    extended: Sequence[str],
) -> TransferResult:
    spec = transfer.spec
    draws = draw_seeds(len(transfer.seeds), spec.num_resamples)
    fitted = {key: _fitted(grid, key, draws, index) for index, key in enumerate(grid.losses)}
    ratios = [
        ratio
        for adapter, full in grid.pairs()
        if (ratio := _ratio(transfer, fitted[adapter], fitted[full])) is not None
    ]
    ranks = list(_ranks(grid, draws[:_RANK_RESAMPLES]))
    regrets = _regrets(transfer, choices, scored)
    records = (*grid.records, *scored.records)
    draft = TransferResult(
        study=transfer.study,
        methods=tuple(dict.fromkeys(key[0] for key in grid.losses)),
        seeds=transfer.seeds,
        score_seeds=spec.score_seeds if regrets else (),
        curves=tuple(each.curve for each in fitted.values()),
        ratios=tuple(ratios),
        ranks=tuple(ranks),
        regrets=tuple(regrets),
        random_regret=_random_regret(grid, choices),
        margin=spec.margin,
        same_batches=_same_batches(grid.records),
        num_trainings=len(records),
        wall_seconds=math.fsum(
            r.measurement.wall_seconds for r in records if r.measurement is not None
        ),
        extended=tuple(extended),
        sentence="",
        notes=(),
    )
    return draft.model_copy(
        update={"sentence": sentence_of(draft), "notes": tuple(_notes(draft, grid, choices))}
    )


def _fitted(grid: Grid, key: Key, draws: "npt.NDArray[np.float64]", index: int) -> _Fitted:
    losses = grid.losses[key]
    rates = list(losses)
    rows = [losses[rate] for rate in rates]
    means = mean_of_each(rows)
    best = best_index(means)
    fit = None if is_edge(means) else fit_curve(rates, rows)
    log2_draws = None if fit is None else optimum_draws(fit, draws, seed=1 + index)
    parabola = fit.parabola if fit is not None else None
    flat = None
    if fit is not None and fit.seed_spread is not None:
        flat = 2.0 ** math.sqrt(fit.seed_spread / fit.parabola.curvature)
    curve = Curve(
        arm=key[0],
        context=dict(key[1]),
        points=tuple(
            RatePoint(rate=rate, losses=tuple(row), mean=mean)
            for rate, row, mean in zip(rates, rows, means, strict=True)
        ),
        status="ok" if fit is not None else _why_no_fit(means),
        best_rate=None if best is None else rates[best],
        optimum=None if parabola is None else 2.0**parabola.optimum_log2,
        interval=None if log2_draws is None else interval_of_factor(log2_draws),
        curvature=None if parabola is None else parabola.curvature,
        r_squared=None if parabola is None else parabola.r_squared,
        fitted_rates=() if fit is None else tuple(float(2.0**x) for x in fit.log_rates),
        three_point_optimum=three_point_optimum(rates, means),
        lowest_loss=None if parabola is None else parabola.lowest,
        seed_spread=None if fit is None else fit.seed_spread,
        flat_factor=flat,
    )
    return _Fitted(curve, fit, log2_draws)


def _why_no_fit(means: Sequence[float | None]) -> FitStatus:
    if is_edge(means):
        return "edge"
    known = sum(mean is not None for mean in means)
    return "too few rates" if known < 4 else "no minimum"


def _ratio(transfer: Transfer, adapter: _Fitted, full: _Fitted) -> Ratio | None:
    ours, theirs = adapter.curve, full.curve
    if ours.optimum is None or theirs.optimum is None:
        return None
    if adapter.log2_draws is None or full.log2_draws is None:
        return None
    spec = transfer.spec
    judged = judge_ratio(
        adapter.log2_draws - full.log2_draws,
        published=spec.published_ratio,
        within_factor=spec.within_factor,
    )
    return Ratio(
        arm=ours.arm,
        context=ours.context,
        ratio=ours.optimum / theirs.optimum,
        interval=judged.interval,
        published=spec.published_ratio,
        low=spec.published_ratio / spec.within_factor,
        high=spec.published_ratio * spec.within_factor,
        equivalence_p=judged.p_value,
        what=judged.what,
        three_point_ratio=_quotient(ours.three_point_optimum, theirs.three_point_optimum),
        grid_ratio=_quotient(ours.best_rate, theirs.best_rate),
    )


def _ranks(grid: Grid, draws: "npt.NDArray[np.float64]") -> "list[RankAgreement]":
    """Settings are the rates of the grids, place by place, in every context."""
    arms = dict.fromkeys(adapter[0] for adapter, _ in grid.pairs())
    found = []
    for arm in arms:
        pairs = [(a, f) for a, f in grid.pairs() if a[0] == arm]
        ours = [row for adapter, _ in pairs for row in grid.losses[adapter].values()]
        theirs = [row for _, full in pairs for row in grid.losses[full].values()]
        if not all(same_shape(list(grid.losses[a]), list(grid.losses[f])) for a, f in pairs):
            continue
        ranks = rank_agreement(ours, theirs, draws)
        if ranks is not None:
            found.append(
                RankAgreement(
                    arm=arm,
                    num_settings=len(ours),
                    kendall=ranks.kendall,
                    kendall_interval=ranks.kendall_interval,
                    spearman=ranks.spearman,
                    spearman_interval=ranks.spearman_interval,
                    kendall_ceiling=ranks.ceiling,
                    kendall_without_diverged=ranks.without_diverged,
                    num_diverged=ranks.num_diverged,
                    p_value=ranks.p_value,
                )
            )
    return found


def same_shape(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two grids differ by one factor alone."""
    if len(one) != len(other):
        return False
    factors = [a / b for a, b in zip(sorted(one), sorted(other), strict=True)]
    return max(factors) / min(factors) < 1.02


def _regrets(transfer: Transfer, choices: Choices | None, scored: Scored) -> list[Regret]:
    if choices is None or not scored.losses:
        return []
    seeds = transfer.spec.score_seeds

    def losses_of(name: str) -> list[float | None]:
        row = scored.losses.get(choices.rates[name], {})
        return [row.get(seed) for seed in seeds]

    own = losses_of("own search")
    regrets = []
    for name, rate in choices.rates.items():
        losses = losses_of(name)
        mean, interval, what = judge_regret(losses, own, margin=transfer.spec.margin)
        is_own = name == "own search"
        regrets.append(
            Regret(
                choice=name,  # type: ignore[arg-type]
                rate=rate,
                losses=tuple(losses),
                mean=mean,
                interval=None if is_own else interval,
                what="own" if is_own and None not in own else what,
            )
        )
    return regrets


def _random_regret(grid: Grid, choices: Choices | None) -> float | None:
    if choices is None:
        return None
    for key, losses in grid.losses.items():
        if grid.methods[key] == FULL and dict(key[1]) == dict(choices.context):
            known = [mean for mean in mean_of_each(list(losses.values())) if mean is not None]
            return fmean(known) - min(known) if known else None
    return None


def _same_batches(records: Sequence[Record]) -> bool | None:
    by_seed: dict[object, set[object]] = {}
    for record in records:
        if record.status != "finished":
            continue
        digest = record.effective.get("batch_digest")
        if digest is None:
            return None
        shape = tuple(record.cell.get(axis) for axis in record.cell if axis.endswith("batch_size"))
        by_seed.setdefault((record.cell["seed"], shape), set()).add(digest)
    return all(len(digests) == 1 for digests in by_seed.values()) if by_seed else None


def _notes(draft: TransferResult, grid: Grid, choices: Choices | None) -> list[str]:
    notes = []
    for curve in draft.curves:
        if curve.status == "edge":
            notes.append(
                f"{curve.arm}: the best rate ({curve.best_rate or 0:g}) lies on the edge of its "
                "grid, so that its optimum is not known; `--extend` adds rates beyond it"
            )
        elif curve.status != "ok":
            notes.append(f"{curve.arm}: no parabola fits its curve ({curve.status})")
    if draft.same_batches is False:
        notes.append("not all trainings of a seed saw the same batches: they are not paired")
    if not all(same_shape(list(grid.losses[a]), list(grid.losses[f])) for a, f in grid.pairs()):
        notes.append(
            "the grids of the methods do not have one shape, so that their orders cannot be "
            "held against each other"
        )
    settings = max((found.num_settings for found in draft.ranks), default=0)
    if 0 < settings < _ENOUGH_SETTINGS:
        notes.append(
            f"{settings} settings say little about an order; {_ENOUGH_SETTINGS} would (a batch "
            "size or a scheduler as a further axis)"
        )
    if choices is not None and len(draft.methods) > 2:
        notes.append(f"the regrets are those of the choice of {choices.arm}")
    return notes


def _quotient(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other
