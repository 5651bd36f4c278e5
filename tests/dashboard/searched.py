"""A search that has ended: trials ended early, the best two tried again."""

from bakeoff.schema.comparison import Interval
from bakeoff.schema.recipe_search import Dimension
from bakeoff.schema.search import Candidate, Importance, Saving, SearchResult, Trial

RATES = (2e-4, 8e-3, 6e-4, 1.2e-3, 3e-3, 9e-3, 1e-3, 2e-3)


def _trial(number: int, rate: float) -> Trial:
    is_pruned = number in (4, 5)
    loss = 0.4 + 0.3 * abs(rate - 1.1e-3) / 1e-3
    return Trial(
        number=number,
        values={"train.learning_rate": rate, "lora.rank": (4, 16, 64)[number % 3]},
        status="pruned" if is_pruned else "diverged" if number == 1 else "finished",
        objectives={"validation_loss": None if number == 1 else loss},
        run_ids=(f"r{number}",),
        num_steps=100,
        steps_done=30 if is_pruned else 100,
        step_seconds=0.4,
        seconds=12.0 if is_pruned else 42.0,
        reused=number == 0,
        curve=tuple((percent, loss + 0.01 * (100 - percent)) for percent in (30, 60, 100)),
    )


def _candidate(trial: Trial, mean: float, **compared: object) -> Candidate:
    return Candidate(
        trial=trial.number,
        values=trial.values,
        run_ids=(),
        scores=(mean - 0.01, mean, mean + 0.01),
        mean=mean,
        spread=0.01,
        train_seconds=41.0,
        peak_bytes=1_600_000_000,
        **compared,
    )


def search_result() -> SearchResult:
    trials = tuple(_trial(number, rate) for number, rate in enumerate(RATES))
    best = _candidate(trials[6], 0.421, standing="best")
    other = _candidate(
        trials[3],
        0.433,
        standing="not told apart",
        difference=0.012,
        interval=Interval(low=-0.004, high=0.028, method="t"),
        p_adjusted=0.12,
    )
    return SearchResult(
        study="standard",
        objective=("validation_loss",),
        method="tpe",
        pruning="halving",
        space={
            "train.learning_rate": Dimension(low=2e-4, high=1e-2, log=True),
            "lora.rank": Dimension(choices=(4, 16, 64)),
        },
        trials=trials,
        front=(6,),
        candidates=(best, other),
        confirm_seeds=(1, 2, 3),
        recommended=best.values,
        recommended_trial=6,
        sentence="No winner: 2 of 2 candidates cannot be told apart with 3 seeds; the cheapest of "
        "them is trial 6 (train.learning_rate=0.001, lora.rank=4): validation loss 0.421, "
        "training 41 s.",
        importance=(
            Importance(key="train.learning_rate", share=0.9),
            Importance(key="lora.rank", share=0.1),
        ),
        saving=Saving(num_pruned=2, steps_left_out=140, steps_of_all=800, seconds_left_out=56.0),
        spent={"runs": 8, "hours": 0.1, "tokens": 71_000, "cost": None},
        ended_because="its budget of 8 runs is used up",
        notes=("1 trial failed: no reason given",),
    )
