"""What a search concludes, from trials as they come."""

from bakeoff.schema.recipe_search import SearchSpec
from bakeoff.schema.search import Candidate, Trial
from bakeoff.search.confirm import chosen_again, ranked, recommended_of, winner_of
from bakeoff.search.result import front_of, saving_of


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
