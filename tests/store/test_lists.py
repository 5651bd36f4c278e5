"""Lists a page at a time, from the index alone."""

import pytest
from tests.dashboard.planned import planned_study

from bakeoff.store.lists import Asked
from bakeoff.store.runs import Store


@pytest.fixture
def store(tmp_path):
    study = planned_study(tmp_path / "runs", leave=1, num_items=20, seed=[0, 1])
    planned_study(tmp_path / "runs", num_items=20, name="other", seed=[5])
    found = Store(study.runs_dir)
    found.sync()
    return found


def test_studies_are_counted_in_the_index(store):
    found = store.lists.studies(Asked())
    by_name = {study.name: study for study in found.rows}
    standard = by_name["standard"]
    assert (standard.num_runs, standard.num_finished, standard.num_left) == (9, 8, 1)
    assert (standard.num_trainings, standard.num_evaluations) == (4, 5)
    assert standard.base_score is not None
    assert standard.best_score > standard.base_score
    assert by_name["other"].num_left == 0
    assert [s.name for s in store.lists.studies(Asked(words="oth")).rows] == ["other"]
    assert store.lists.studies(Asked(words="%")).total == 0


def test_a_page_holds_a_part_and_knows_the_whole(store):
    first = store.lists.runs_of("standard", Asked(size=4))
    last = store.lists.runs_of("standard", Asked(size=4, page=3))
    assert (first.total, first.num_pages) == (9, 3)
    assert (len(first.rows), len(last.rows)) == (4, 1)
    assert last.rows[0].status is None


def test_runs_are_found_by_kind_state_and_words(store):
    def ids(**asked):
        return [run.run_id for run in store.lists.runs_of("standard", Asked(**asked)).rows]

    assert len(ids(kind="train")) == 4
    assert len(ids(state="left")) == 1
    assert ids(state="left") == store.lists.unfinished("standard")
    assert len(ids(words="METHOD=lora seed=1")) == 2
    assert ids(words="lo_a") == []
    assert ids(state="failed") == []


def test_what_has_no_figure_comes_last_whichever_way_it_is_sorted(store):
    for descending in (False, True):
        asked = Asked(sort="score", descending=descending)
        runs = store.lists.runs_of("standard", asked).rows
        scores = [run.figures.score if run.figures else None for run in runs]
        known = [score for score in scores if score is not None]
        assert known == sorted(known, reverse=descending)
        assert scores[len(known) :] == [None] * (9 - len(known))


def test_a_changed_record_changes_the_stamp_and_a_deleted_study_goes(store):
    before = store.lists.study_stamp("standard")
    record = store.study_records("standard")[0]
    store.save_record(record.model_copy(update={"warnings": ("changed",)}))
    assert store.lists.study_stamp("standard") != before
    (store.study_dir("other") / "study.json").unlink()
    store.sync()
    assert [study.name for study in store.lists.studies(Asked()).rows] == ["standard"]
    assert store.lists.studies_of(record.run_id) == ["standard"]


def test_the_evaluations_of_a_training_are_found(store):
    training = next(r for r in store.study_records("standard") if r.kind == "train")
    (child,) = store.lists.children_of([training.run_id])
    assert child.parent_run_id == training.run_id
    assert child.figures.score is not None
