import pytest
from tests.compare.factory import make_train
from tests.compare.frameworks_study import frameworks_study, make_training

from bakeoff.compare.frameworks import num_tests, ratio, same_batches, side_by_side
from bakeoff.compare.tables import load_all_samples


def _sides(study):
    return side_by_side(study.records, load_all_samples(study.records, study.runs_dir))


def _train_seconds(record):
    return record.measurement.train_seconds


def test_trainings_that_differ_in_the_backend_alone_stand_side_by_side(tmp_path):
    sides = _sides(frameworks_study(tmp_path, methods=("lora", "full")))
    assert [side.cell["method"] for side in sides] == ["lora", "full"]
    for side in sides:
        assert [t.backend for t in side.trainers] == ["builtin", "llamafactory", "swift"]
        assert "backend" not in side.cell
        assert "seed" not in side.cell


def test_a_study_of_one_backend_has_nothing_side_by_side(tmp_path):
    lora, full = make_train("a"), make_train("b", method="full")
    assert side_by_side([lora, full], {}) == []


def test_costs_are_multiples_of_the_built_in_trainers(tmp_path):
    (side,) = _sides(frameworks_study(tmp_path))
    found = ratio(side.trainers[1], side.reference, _train_seconds)
    assert (found.median, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.num_pairs == 1


def test_with_several_seeds_a_ratio_has_its_spread(tmp_path):
    (side,) = _sides(frameworks_study(tmp_path, seeds=(0, 1, 2)))
    found = ratio(side.trainers[2], side.reference, _train_seconds)
    assert (found.median, found.low, found.high) == pytest.approx((1.375, 1.25, 1.5))
    assert found.num_pairs == 3


def test_a_figure_that_was_not_measured_gives_no_ratio():
    reference, other = make_training("builtin"), make_training("swift")
    unmeasured = reference.model_copy(update={"measurement": None})
    (side,) = side_by_side([unmeasured, other], {})
    figure = lambda r: r.measurement.train_seconds if r.measurement else None  # noqa: E731
    assert ratio(side.trainers[1], side.reference, figure) is None


@pytest.mark.parametrize(("digest", "same"), [("lora-0", True), ("another", False), (None, None)])
def test_the_batches_are_the_same_other_or_not_known(digest, same):
    other = make_training("swift", effective={"batch_digest": digest})
    (side,) = side_by_side([make_training("builtin"), other], {})
    assert same_batches(side.trainers[1], side.reference) is same


def test_scores_are_paired_with_the_references_and_corrected_together(tmp_path):
    sides = _sides(frameworks_study(tmp_path, methods=("lora", "full")))
    assert num_tests(sides) == 4
    reference, llamafactory, swift = sides[0].scores
    assert reference.difference is None
    for score in (llamafactory, swift):
        assert score.difference == pytest.approx(score.accuracies[0] - reference.accuracies[0])
        assert score.paired.num_items == 120
        assert score.p_adjusted >= score.paired.p_value


def test_with_several_seeds_an_interval_over_seeds_takes_the_place_of_the_test(tmp_path):
    sides = _sides(frameworks_study(tmp_path, seeds=(0, 1, 2)))
    assert num_tests(sides) == 0
    _, llamafactory, _ = sides[0].scores
    assert len(llamafactory.accuracies) == 3
    assert (llamafactory.paired, llamafactory.p_adjusted) == (None, None)
    assert llamafactory.interval.method == "hierarchical"
    assert llamafactory.interval.low <= llamafactory.difference <= llamafactory.interval.high


def test_where_the_built_in_trainer_did_not_finish_the_first_that_did_is_the_reference(tmp_path):
    study = frameworks_study(tmp_path)
    died = {"status": "out_of_memory", "measurement": None, "losses": ()}
    records = [r.model_copy(update=died) if r.run_id == "train-builtin-lora-s0" else r
               for r in study.records if r.parent_run_id != "train-builtin-lora-s0"]  # fmt: skip
    (side,) = side_by_side(records, load_all_samples(records, tmp_path))
    assert side.reference.backend == "llamafactory"
    assert [t.backend for t in side.others] == ["swift"]
    assert [t.backend for t in side.trainers] == ["llamafactory", "swift", "builtin"]
