"""The best settings again with further seeds: is there a winner, or only luck?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from bakeoff.compare.candidates import judge_candidates
from bakeoff.compare.search_words import HIGHER_IS_BETTER
from bakeoff.schema.recipe_search import SearchSpec
from bakeoff.schema.search import Candidate, Trial
from bakeoff.search.objectives import TrialRecords, value_of

MORE_FOR_AGREEMENT = 3
"""Settings besides the best that a search by proxy trains as meant: an order needs some length."""


@dataclass(frozen=True)
class Confirmed:
    candidate: Candidate
    proxy_value: float | None
    """What the search itself saw."""


def ranked(trials: Sequence[Trial], spec: SearchSpec) -> list[Trial]:
    """Trials with a value of the first objective, the best first; equal settings once."""
    objective = spec.objective[0]
    sign = -1.0 if objective in HIGHER_IS_BETTER else 1.0
    known = [t for t in trials if t.objectives.get(objective) is not None and t.status != "pruned"]
    in_order = sorted(known, key=lambda t: (sign * (t.objectives[objective] or 0.0), t.number))
    unique: dict[str, Trial] = {}
    for trial in in_order:
        unique.setdefault(repr(sorted(trial.values.items())), trial)
    return list(unique.values())


def chosen_again(trials: Sequence[Trial], spec: SearchSpec) -> list[Trial]:
    """The best; of a search by proxy also some spread over the rest."""
    in_order = ranked(trials, spec)
    best, rest = in_order[: spec.confirm.top], in_order[spec.confirm.top :]
    if not spec.proxy or not rest:
        return best
    every = max(1, len(rest) // MORE_FOR_AGREEMENT)
    return best + rest[every - 1 :: every][:MORE_FOR_AGREEMENT]


def judge(
    found: Sequence[tuple[Trial, Sequence[TrialRecords]]], spec: SearchSpec
) -> list[Confirmed]:
    objective = spec.objective[0]
    scores = [[value_of(objective, records) for records in runs] for _, runs in found]
    standings = judge_candidates(scores, higher_is_better=objective in HIGHER_IS_BETTER)
    confirmed = []
    for (trial, runs), row, standing in zip(found, scores, standings, strict=True):
        whole = [value for value in row if value is not None]
        complete = len(whole) == len(row)
        candidate = Candidate(
            trial=trial.number,
            values=trial.values,
            run_ids=tuple(r.training.run_id for r in runs if r.training is not None),
            scores=tuple(row),
            mean=fmean(whole) if complete else None,
            spread=stdev(whole) if complete and len(whole) > 1 else None,
            train_seconds=_mean([value_of("train_time", records) for records in runs]),
            peak_bytes=_largest([value_of("peak_memory", records) for records in runs]),
            difference=standing.difference,
            interval=standing.interval,
            p_adjusted=standing.p_adjusted,
            standing=standing.what,
        )
        confirmed.append(Confirmed(candidate, trial.objectives[objective]))
    return confirmed


def winner_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best one, if every other one is worse beyond chance."""
    best = next((c for c in candidates if c.standing == "best"), None)
    others = [c for c in candidates if c is not best]
    alone = bool(others) and all(c.standing in ("worse", "failed") for c in others)
    return best if alone else None


def recommended_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The winner; without one the cheapest of those that are as good as the best.

    As good: not told apart, and within one standard error of the best mean (the rule of Breiman et
    al. 1984). A candidate that a few seeds do not tell apart because it varies wildly is no equal.
    """
    best = next((c for c in candidates if c.standing == "best"), None)
    if best is None or best.mean is None:
        return best
    error = (best.spread or 0.0) / math.sqrt(len(best.scores))
    equals = [
        c
        for c in candidates
        if c.standing == "not told apart"
        and c.mean is not None
        and abs(c.mean - best.mean) <= error
    ]
    return min([best, *equals], key=lambda c: (c.train_seconds or 0.0, c.peak_bytes or 0))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _largest(values: Sequence[float | None]) -> int | None:
    known = [round(value) for value in values if value is not None]
    return max(known, default=None)
