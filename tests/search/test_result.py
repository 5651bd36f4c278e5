"""What a search concludes, from trials as they come."""

import math
import random
from types import SimpleNamespace

import optuna

from bakeoff.report.search_report import write_search_report
from bakeoff.schema.recipe_search import Dimension, SearchSpec
from bakeoff.schema.search import Candidate, Importance, SearchResult, Trial
from bakeoff.search.confirm import chosen_again, ranked, recommended_of, winner_of
from bakeoff.search.proposals import quiet
from bakeoff.search.result import _importance, front_of, saving_of


def _trial(number, loss, *, status="finished", values=None, **more):
    objectives = {"validation_loss": loss, **more.pop("objectives", {})}
    return Trial(
        number=number, values=values or {"lora.rank": number}, status=status,
        objectives=objectives, run_ids=(), num_steps=more.pop("num_steps", 10),
        steps_done=more.pop("steps_done", 10), step_seconds=2.0, seconds=20.0, **more,
    )  # fmt: skip


def _candidate(trial, standing, seconds, **more):
    return Candidate(
        trial=trial, values={}, run_ids=(), scores=(1.0, 1.0), mean=1.0, spread=0.0,
        train_seconds=seconds, peak_bytes=1, standing=standing, **more,
    )  # fmt: skip


def test_the_best_come_first_and_equal_settings_once():
    trials = [
        _trial(0, 1.2), _trial(1, 1.0), _trial(2, None, status="pruned"), _trial(3, 0.9),
        _trial(4, 0.9, values={"lora.rank": 3}), _trial(5, None, status="diverged"),
    ]  # fmt: skip
    assert [t.number for t in ranked(trials, SearchSpec())] == [3, 1, 0]
    assert [t.number for t in chosen_again(trials, SearchSpec())] == [3, 1, 0]


def test_a_search_by_proxy_trains_some_of_the_rest_as_well():
    spec = SearchSpec.model_validate({"proxy": {"data.num_train": 10}, "confirm": {"top": 2}})
    trials = [_trial(number, float(number)) for number in range(11)]
    assert [t.number for t in chosen_again(trials, spec)] == [0, 1, 4, 7, 10]


def test_a_winner_is_one_only_if_every_other_candidate_is_worse():
    best, worse = _candidate(0, "best", 9.0), _candidate(1, "worse", 1.0)
    equal = _candidate(2, "not told apart", 3.0)
    assert winner_of([best, worse]) is best
    assert winner_of([best, worse, equal]) is None
    assert recommended_of([best, worse]) is best
    assert recommended_of([best, worse, equal]) is equal
    assert winner_of([best]) is None  # it was held against nothing


def test_a_cheap_candidate_that_varies_too_wildly_to_be_told_apart_is_not_recommended():
    def candidate(standing, seconds, mean, spread):
        told = _candidate(0, standing, seconds)
        return told.model_copy(update={"mean": mean, "spread": spread})

    best = candidate("best", 9.0, 1.0, 0.1)  # standard error 0.07
    wild = candidate("not told apart", 1.0, 5.0, 4.0)
    near = candidate("not told apart", 3.0, 1.05, 0.1)
    assert recommended_of([best, wild]) is best
    assert recommended_of([best, wild, near]) is near


def test_the_front_holds_what_nothing_beats_in_every_objective():
    def both(loss, memory, number):
        return _trial(number, loss, objectives={"peak_memory": memory})

    trials = [both(1.0, 9.0, 0), both(2.0, 1.0, 1), both(2.0, 2.0, 2), both(3.0, 1.0, 3)]
    assert front_of(trials, ("validation_loss", "peak_memory")) == [0, 1]


def test_what_pruning_saved_is_the_steps_that_were_not_done():
    trials = [_trial(0, 1.0), _trial(1, None, status="pruned", steps_done=2)]
    saving = saving_of(trials)
    assert (saving.num_pruned, saving.steps_left_out, saving.steps_of_all) == (1, 8, 20)
    assert saving.seconds_left_out == 16.0


def _result(**more):
    space = {
        "train.learning_rate": Dimension(low=1e-4, high=1e-1, log=True, source="a paper"),
        "lora.rank": Dimension(choices=(4, 8)),
    }
    trials = [
        _trial(
            number, None if number % 4 == 3 else 1.0 + abs(number - 5) / 10,
            status="pruned" if number % 4 == 3 else "finished",
            values={"train.learning_rate": 1e-4 * 2**number, "lora.rank": 4 + 4 * (number % 2)},
            objectives={"peak_memory": 1e9 + number * 1e8},
        )
        for number in range(10)
    ]  # fmt: skip
    candidates = (
        _candidate(5, "best", 9.0).model_copy(
            update={"values": {"train.learning_rate": 3.2e-3, "lora.rank": 8}}
        ),
    )
    values = {
        "study": "s-search", "objective": ("validation_loss",), "method": "tpe",
        "pruning": "halving", "space": space, "trials": tuple(trials), "front": (5,),
        "candidates": candidates, "confirm_seeds": (1, 2), "sentence": "Trial 5 wins.",
        "importance": (Importance(key="train.learning_rate", share=0.9),
                       Importance(key="lora.rank", share=0.1)),
        "saving": saving_of(trials), "ended_because": "the budget of 10 runs was spent",
        "spent": {"runs": 10, "tokens": 1000, "hours": 0.1, "cost": None},
        **more,
    }  # fmt: skip
    return SearchResult(**values)


def test_the_report_draws_what_was_tried_and_what_mattered(tmp_path):
    page = write_search_report(_result(), tmp_path, ("bakeoff", "search", "s.yaml")).html
    pictures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert pictures == {"history", "slice-0", "slice-1", "importance"}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for words in ("Trial 5 wins", "ended early", "Learning-rate curve", "a paper", "10 of 10"):
        assert words in text
    assert "<script" not in page.read_text(encoding="utf-8")


def test_several_objectives_are_drawn_as_a_front(tmp_path):
    objective = ("validation_loss", "peak_memory")
    result = _result(objective=objective, candidates=(), importance=(), front=(0, 5))
    write_search_report(result, tmp_path, ("bakeoff", "search", "s.yaml"))
    assert (tmp_path / "figures" / "front.png").is_file()
    assert "The front" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_what_decides_the_loss_is_found_important():
    with quiet():
        study = optuna.create_study(direction="minimize")
        draw = random.Random(0)
        distributions = {
            "train.learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
            "lora.rank": optuna.distributions.CategoricalDistribution((0, 1)),
        }
        trials = []
        for number in range(24):
            rate, rank = 10 ** draw.uniform(-4, -1), draw.randrange(2)
            loss = abs(math.log10(rate) + 2.5)
            study.add_trial(
                optuna.trial.create_trial(
                    params={"train.learning_rate": rate, "lora.rank": rank},
                    distributions=distributions,
                    value=loss,
                )
            )
            trials.append(_trial(number, loss))
    search = SimpleNamespace(spec=SearchSpec(), space=_result().space)
    found = {each.key: each.share for each in _importance(study, trials, search)}
    assert found["train.learning_rate"] > 0.8

    # Most were ended early, as pruning does: the order of these is not known.
    best = sorted(trials, key=lambda trial: trial.objectives["validation_loss"])[:7]
    pruned = [t if t in best else _trial(t.number, None, status="pruned") for t in trials]
    found = {each.key: each.share for each in _importance(study, pruned, search)}
    assert found["train.learning_rate"] > 0.8
    assert _importance(study, trials[:5], search) == []
