"""What a search came to, as a document and in a sentence."""

from collections.abc import Sequence
from typing import Any

from bakeoff.base.pareto import beats
from bakeoff.compare import numbers
from bakeoff.compare.search_words import (
    HIGHER_IS_BETTER,
    TITLES,
    show_score,
    show_value,
    show_values,
)
from bakeoff.schema.recipe_search import Objective
from bakeoff.schema.search import (
    Agreement,
    Candidate,
    Importance,
    Saving,
    SearchResult,
    Trial,
)
from bakeoff.search.confirm import Confirmed, ranked, recommended_of, winner_of
from bakeoff.search.prepare import PreparedSearch
from bakeoff.search.proposals import quiet
from bakeoff.search.trials import Account

_FEWEST_FOR_IMPORTANCE = 8
_FEWEST_FOR_AGREEMENT = 4


def make_result(
    search: PreparedSearch,
    trials: Sequence[Trial],
    confirmed: Sequence[Confirmed],
    account: Account,
    proposals: Any,
    ended_because: str,
) -> SearchResult:
    spec = search.spec
    candidates = [each.candidate for each in confirmed]
    winner, recommended = winner_of(candidates), recommended_of(candidates)
    in_order = ranked(trials, spec)
    if recommended is not None:
        values, number = recommended.values, recommended.trial
    elif in_order and len(spec.objective) == 1:
        values, number = in_order[0].values, in_order[0].number
    else:
        values, number = None, None
    return SearchResult(
        study=search.study,
        objective=spec.objective,
        method=spec.method,
        pruning=spec.pruning if len(spec.objective) == 1 else "none",
        space=dict(search.space),
        proxy=spec.proxy,
        trials=tuple(trials),
        front=tuple(front_of(trials, spec.objective)),
        candidates=tuple(candidates),
        confirm_seeds=spec.confirm.seeds if candidates else (),
        winner=winner.trial if winner is not None else None,
        recommended=values,
        recommended_trial=number,
        sentence=_sentence(search, trials, candidates),
        importance=tuple(_importance(proposals, trials, search)),
        saving=saving_of(trials),
        agreement=_agreement(confirmed) if spec.proxy else None,
        spent={
            "runs": account.runs,
            "tokens": account.tokens,
            "hours": round(account.hours, 4),
            "cost": account.cost,
        },
        ended_because=ended_because,
        currency=search.recipe.measure.currency,
        notes=tuple(_notes(search, trials, candidates)),
    )


def front_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[int]:
    """Numbers of the trials that no other one equals or beats in every objective."""
    points = {}
    for trial in trials:
        values = [trial.objectives.get(name) for name in objectives]
        if trial.status == "finished" and None not in values:
            signs = [-1.0 if name in HIGHER_IS_BETTER else 1.0 for name in objectives]
            points[trial.number] = [s * (v or 0.0) for s, v in zip(signs, values, strict=True)]
    return [
        number
        for number, point in points.items()
        if not any(beats(other, point) for other in points.values())
    ]


def saving_of(trials: Sequence[Trial]) -> Saving:
    pruned = [t for t in trials if t.status == "pruned"]
    left = {t.number: (t.num_steps or 0) - (t.steps_done or 0) for t in pruned}
    times = [left[t.number] * t.step_seconds for t in pruned if t.step_seconds is not None]
    return Saving(
        num_pruned=len(pruned),
        steps_left_out=sum(left.values()),
        steps_of_all=sum(t.num_steps or 0 for t in trials),
        seconds_left_out=sum(times) if times or not pruned else None,
    )


def _importance(
    proposals: Any, trials: Sequence[Trial], search: PreparedSearch
) -> list[Importance]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) of the first objective.

    It asks what tells the better half of the trials from all of them, which needs their order
    only: those that were ended early or diverged come last. Of these nobody knows the order, so
    that where they are the most, the better part is what remains. None with fewer than eight, where
    it would be noise, and for settings that are not always searched.
    """
    objective = search.spec.objective[0]
    sign = -1.0 if objective in HIGHER_IS_BETTER else 1.0
    known = {t.number: t for t in trials if t.status != "failed"}
    found = {
        number: sign * value
        for number, trial in known.items()
        if (value := trial.objectives.get(objective)) is not None
    }
    if len(found) < 2 or len(known) < _FEWEST_FOR_IMPORTANCE or len(search.space) < 2:
        return []
    last = max(found.values()) + 1.0
    # Half a trial less: rounding must not let those in that come last.
    better_share = min(0.5, (len(found) - 0.5) / len(known))
    with quiet():
        import optuna  # noqa: PLC0415 - slow to import

        sound = optuna.create_study(direction="minimize")
        for trial in proposals.get_trials():
            if trial.number in known:
                sound.add_trial(
                    optuna.trial.create_trial(
                        params=trial.params,
                        distributions=trial.distributions,
                        value=found.get(trial.number, last),
                    )
                )
        always = [key for key, dimension in search.space.items() if not dimension.when]
        shares = optuna.importance.get_param_importances(
            sound,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=better_share),
            params=always,
        )
    return [Importance(key=key, share=float(share)) for key, share in shares.items()]


def _agreement(confirmed: Sequence[Confirmed]) -> Agreement:
    pairs = [
        (each.proxy_value, each.candidate.mean)
        for each in confirmed
        if each.proxy_value is not None and each.candidate.mean is not None
    ]
    if len(pairs) < _FEWEST_FOR_AGREEMENT:
        return Agreement(num_settings=len(pairs), kendall=None, p_value=None)
    from scipy import stats  # noqa: PLC0415 - heavy

    found = stats.kendalltau([a for a, _ in pairs], [b for _, b in pairs])
    return Agreement(
        num_settings=len(pairs), kendall=float(found.statistic), p_value=float(found.pvalue)
    )


def _sentence(
    search: PreparedSearch, trials: Sequence[Trial], candidates: Sequence[Candidate]
) -> str:
    objective = search.spec.objective[0]
    if len(search.spec.objective) > 1:
        count = len(front_of(trials, search.spec.objective))
        return f"{count} of {len(trials)} trials are beaten by no other one in every objective."
    best, recommended = winner_of(candidates), recommended_of(candidates)
    if best is not None:
        return (
            f"Trial {best.trial} ({show_values(best.values)}) wins: {TITLES[objective]} "
            f"{show_score(objective, best.mean)} on average over {len(best.scores)} seeds, better "
            "than every other candidate beyond chance."
        )
    if recommended is not None:
        equals = sum(c.standing in ("best", "not told apart") for c in candidates)
        what = (
            f"no winner: {equals} of {len(candidates)} candidates cannot be told apart with "
            f"{len(recommended.scores)} seeds; the cheapest within a standard error of the best is"
            if equals > 1
            else "one candidate only:"
        )
        return (
            f"{what[0].upper()}{what[1:]} trial {recommended.trial} "
            f"({show_values(recommended.values)}): {TITLES[objective]} "
            f"{show_score(objective, recommended.mean)}, training "
            f"{numbers.seconds(recommended.train_seconds)}."
        )
    in_order = ranked(trials, search.spec)
    if in_order:
        first = in_order[0]
        return (
            f"Trial {first.number} ({show_values(first.values)}) came first with one seed; nothing "
            "was trained again, so that this may be luck."
        )
    return "No trial finished."


def _notes(
    search: PreparedSearch, trials: Sequence[Trial], candidates: Sequence[Candidate]
) -> list[str]:
    spec, notes = search.spec, []
    if len(spec.objective) > 1 and spec.pruning != "none":
        notes.append("several objectives: no trial was ended early, and no winner is declared")
    train = search.recipe.train
    if spec.pruning != "none" and train.validate_every == 0 and train.num_epochs > 1:
        notes.append(
            "trials were ended early by their training loss, which after the first pass is a "
            "loss on rows seen before; `train.validate_every` lets them be judged by "
            "validation rows"
        )
    failed = [t for t in trials if t.status == "failed"]
    if failed:
        trials_failed = "trial" if len(failed) == 1 else "trials"
        notes.append(f"{len(failed)} {trials_failed} failed: {_first_line(failed[0].error)}")
    notes += [
        f"the best {key} lies at the edge of its range ({show_value(value)}): a wider range may "
        "hold a better one"
        for key, value in _at_edge(search, candidates)
    ]
    return notes


def _at_edge(search: PreparedSearch, candidates: Sequence[Candidate]) -> list[tuple[str, Any]]:
    best = next((c for c in candidates if c.standing == "best"), None)
    if best is None:
        return []
    found = []
    for key, value in best.values.items():
        dimension = search.space[key]
        if dimension.low is None or dimension.high is None:
            continue
        low, high = dimension.low, dimension.high
        near = (high / low) ** 0.05 if dimension.log else None
        if near is not None:
            is_edge = value < low * near or value > high / near
        else:
            is_edge = min(value - low, high - value) < 0.05 * (high - low)
        if is_edge:
            found.append((key, value))
    return found


def _first_line(text: str | None) -> str:
    return (text or "no reason given").splitlines()[0]
