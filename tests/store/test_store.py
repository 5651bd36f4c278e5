"""The store: records are whole, the index follows the directories."""

import multiprocessing
import sqlite3

import pytest

from bakeoff.base.errors import UserError
from bakeoff.base.files import write_text_atomic
from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.schema.plan import TrainPlan, run_name
from bakeoff.schema.record import Provenance, Record
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store


def _record(run_id, *, status="finished", ended_at="2026-01-01T00:00:00Z"):
    provenance = Provenance(
        bakeoff_version="1", git_commit=None, git_dirty=None, packages={}, lock_digest=None,
        model_source="m", model_revision=None, model_digest=None, data_digest=None,
        template_digest=None, hardware={}, driver=None, command_line=("bakeoff",),
        environment={}, started_at="2026-01-01T00:00:00Z", ended_at=ended_at,
    )  # fmt: skip
    return Record(
        run_id=run_id, study="s", kind="train", status=status, cell={"seed": 0},
        effective={"optimiser": "AdamW"}, data=None, measurement=None, provenance=provenance,
    )  # fmt: skip


def _plan(**keys):
    tree = {"name": "s", "model": "m", "data": "d", **keys}
    prints = Fingerprints(of_model=lambda spec: spec.source, of_data=lambda spec: spec.source)
    return make_plan(expand(tree), prints)


def _study(plan):
    return Study(
        name=plan.study, plan=plan, recipe_path="r.yaml", recipe_text="", overrides=(),
        command_line=(), started_at="2026-01-01T00:00:00Z",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "运行")


def test_a_saved_record_comes_back_equal(store):
    store.save_record(_record("train-a"))
    assert store.records() == [_record("train-a")]
    assert store.find("train-a") == _record("train-a")


def test_records_come_oldest_first(store):
    store.save_record(_record("b", ended_at="2026-01-02T00:00:00Z"))
    store.save_record(_record("c", ended_at="2026-01-01T00:00:00Z"))
    assert [record.run_id for record in store.records()] == ["c", "b"]


def test_a_study_lists_its_runs_in_the_order_of_its_plan(store):
    plan = _plan(seed=[1, 0])
    trainings = [step for step in plan.steps if isinstance(step, TrainPlan)]
    for step in reversed(trainings):
        store.save_record(_record(run_name(step)))
    store.save_record(_record("train-of-another-study"))
    store.save_study(_study(plan))
    assert [r.run_id for r in store.records("s")] == [run_name(step) for step in trainings]


def test_a_lost_index_is_made_again_from_the_directories(store):
    store.save_record(_record("a"))
    (store.runs_dir / "index.sqlite").unlink()
    assert store.records() == [_record("a")]


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\0garbage"])
def test_a_broken_index_is_made_again(store, content):
    store.save_record(_record("a"))
    (store.runs_dir / "index.sqlite").write_bytes(content)
    assert store.records() == [_record("a")]


def test_an_index_of_another_version_is_made_again(store):
    store.save_record(_record("a"))
    with sqlite3.connect(store.runs_dir / "index.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert store.rebuild() == 1
    assert store.records() == [_record("a")]


def test_a_record_written_by_a_run_that_died_before_indexing_is_found(store):
    store.save_record(_record("a"))
    write_text_atomic(store.run_dir("b") / "record.json", _record("b").model_dump_json())
    assert {record.run_id for record in store.records()} == {"a", "b"}


def test_a_deleted_directory_leaves_the_index(store):
    store.save_record(_record("a"))
    (store.run_dir("a") / "record.json").unlink()
    assert store.records() == []


def test_a_run_without_a_record_is_not_a_result(store):
    write_text_atomic(store.run_dir("half") / "events.jsonl", "")
    assert store.records() == []


def test_a_failed_run_can_be_forgotten_and_done_again(store):
    store.save_record(_record("a", status="failed"))
    store.forget_record("a")
    assert store.records() == []
    store.save_record(_record("a"))
    assert [record.status for record in store.records()] == ["finished"]


def test_a_run_is_found_by_the_start_or_the_end_of_its_id(store):
    for run_id in ("train-lora-0a1b", "train-full-2c3d"):
        store.save_record(_record(run_id))
    assert store.find("train-lora").run_id == "train-lora-0a1b"
    assert store.find("2c3d").run_id == "train-full-2c3d"
    with pytest.raises(UserError, match="could be any of"):
        store.find("train")
    with pytest.raises(UserError, match="no run `train-lara-0a1b`") as caught:
        store.find("train-lara-0a1b")
    assert caught.value.hint == "did you mean `train-lora-0a1b`?"


def test_an_unknown_study_suggests_the_one_that_is_there(store):
    store.save_study(_study(_plan()))
    with pytest.raises(UserError) as caught:
        store.study("S")
    assert "known: s" in str(caught.value.hint)


def test_an_unreadable_record_is_left_out_and_told_unless_it_was_asked_for(store):
    plan = _plan()
    training = next(step for step in plan.steps if isinstance(step, TrainPlan))
    store.save_record(_record("b"))
    write_text_atomic(store.run_dir(run_name(training)) / "record.json", '{"run_id": "a"}')
    assert [record.run_id for record in store.records()] == ["b"]
    assert "not a record" in str(store.unreadable[run_name(training)])
    store.save_study(_study(plan))
    with pytest.raises(UserError, match=r"record\.json: not a record") as caught:
        store.records("s")
    assert "delete it" in str(caught.value.hint)


def test_a_shared_run_has_the_cell_that_the_asked_study_gives_it(store):
    plan = _plan(train={"learning_rate": [1e-3, 2e-3]})
    trainings = [step for step in plan.steps if isinstance(step, TrainPlan)]
    for step in trainings:  # recorded by a study in which the rate was no axis
        store.save_record(_record(run_name(step)))
    store.save_study(_study(plan))
    cells = [record.cell for record in store.records("s")]
    assert [cell["train.learning_rate"] for cell in cells] == [1e-3, 2e-3]


def test_a_locked_index_does_not_lose_a_record(store, monkeypatch):
    monkeypatch.setattr("bakeoff.store.index._BUSY_SECONDS", 0.1)
    store.save_record(_record("a"))
    holder = sqlite3.connect(store.runs_dir / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    store.save_record(_record("b"))
    with pytest.raises(UserError, match="cannot be used"):
        store.records()
    holder.close()
    assert {record.run_id for record in store.records()} == {"a", "b"}


def test_an_unreadable_study_says_which(store):
    write_text_atomic(store.study_dir("s") / "study.json", "{}")
    with pytest.raises(UserError, match=r"study\.json: not a study"):
        store.study("s")


def _save_many(runs_dir, name):
    store = Store(runs_dir)
    for number in range(20):
        store.save_record(_record(f"{name}-{number}"))


def test_several_processes_can_save_at_once(store):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_save_many, args=(store.runs_dir, n)) for n in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(store.records()) == 60
