from bakeoff.compare.candidates import judge_candidates


def test_the_best_is_the_lowest_mean_and_the_clearly_worse_is_told_apart():
    scores = [[1.00, 1.10, 1.05, 1.02], [1.50, 1.61, 1.54, 1.53], [1.01, 1.08, 1.07, 1.03]]
    best, worse, equal = judge_candidates(scores, higher_is_better=False)
    assert [best.what, worse.what, equal.what] == ["best", "worse", "not told apart"]
    assert 0.49 < worse.difference < 0.52
    assert worse.interval.low < worse.difference < worse.interval.high
    assert worse.p_adjusted < 0.01 < equal.p_adjusted


def test_what_a_seed_does_to_all_of_them_cancels():
    # The seeds differ by far more than the candidates do.
    scores = [[1.0, 5.0, 9.0], [1.1, 5.11, 9.09]]
    assert judge_candidates(scores, higher_is_better=False)[1].what == "worse"


def test_right_answers_are_better_the_more_there_are():
    scores = [[0.20, 0.22, 0.21], [0.50, 0.53, 0.52]]
    worse, best = judge_candidates(scores, higher_is_better=True)
    assert (worse.what, best.what) == ("worse", "best")
    assert worse.difference > 0.25


def test_a_candidate_that_failed_with_any_seed_is_not_judged_by_the_others():
    found = judge_candidates([[1.0, 1.1], [0.5, None], [None, None]], higher_is_better=False)
    assert [each.what for each in found] == ["best", "failed", "failed"]
    assert {each.what for each in judge_candidates([[None]], higher_is_better=False)} == {"failed"}
