"""Trainings that were done again for their times: one model, several times of it."""

import pytest
from tests.compare.factory import StudyOnDisk, make_train
from tests.compare.frameworks_study import make_training

from bakeoff.compare.frameworks import pairs, ratio, side_by_side
from bakeoff.compare.losses import loss_rows
from bakeoff.compare.names import name_runs
from bakeoff.compare.repeats import turns_of
from bakeoff.compare.tables import load_all_samples, study_rows
from bakeoff.report.costs import costs_table, speed_table


def _again(record, turn, *, slower=1.0, **changes):
    measured = record.measurement.model_copy(
        update={
            "train_seconds": record.measurement.train_seconds * slower,
            "wall_seconds": record.measurement.wall_seconds * slower,
        }
    )
    values = {"run_id": f"{record.run_id}-x{turn}", "repeat_of": record.run_id, "turn": turn}
    return record.model_copy(update={**values, "measurement": measured, **changes})


@pytest.fixture
def study(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    study.add_model("base", 0.1)
    training = study.add(make_train("t"))
    study.add(_again(training, 2, slower=1.2))
    study.add(_again(training, 3, slower=1.1))
    study.add(_again(training, 4, slower=9.0, status="failed", error="killed"))
    study.add_model("e", 0.4, parent=training)
    return study


def test_a_repeated_training_is_one_model_with_the_median_of_its_times(study):
    rows = study_rows(study.records, load_all_samples(study.records, study.runs_dir))
    assert {row.name for row in rows} == {"base model", "LoRA"}
    row = next(row for row in rows if not row.is_base)
    assert row.num_turns == 3
    assert row.train_seconds == pytest.approx(98.2 * 1.1)
    assert row.train_seconds_range == pytest.approx((98.2, 98.2 * 1.2))
    assert row.peak_bytes_range == (1_540_000_000, 1_540_000_000)


def test_repetitions_have_the_name_of_what_they_repeat_and_no_loss_curve_of_their_own(study):
    names = name_runs(study.records)
    assert {names[run_id] for run_id in ("t", "t-x2", "t-x3")} == {"LoRA"}
    assert {row.run_id for row in loss_rows(study.records)} == {"t"}
    assert [r.run_id for r in turns_of("t", study.records)] == ["t", "t-x2", "t-x3"]


def test_tables_of_cost_have_a_line_a_training_with_median_and_range(study):
    names = name_runs(study.records)
    table = costs_table(study.records, names)
    labels = [row[0].text for row in table.rows]
    assert labels.count("LoRA (training)") == 1
    total = table.rows[labels.index("LoRA (training)")][1].text
    assert total == "2 min 10 s (1 min 58 s to 2 min 22 s)"
    peak = [column.header for column in speed_table(study.records, names).columns]
    assert "Peak memory" in peak
    assert "Energy" not in peak


def test_frameworks_are_paired_turn_by_turn():
    ours, theirs = make_training("builtin"), make_training("swift")
    records = [
        ours, theirs, _again(ours, 2), _again(theirs, 2, slower=1.2), _again(theirs, 3, slower=5.0),
    ]  # fmt: skip
    (side,) = side_by_side(records, {})
    swift = side.trainers[1]
    assert [(a.turn, b.turn) for a, b in pairs(swift, side.reference)] == [(1, 1), (2, 2)]
    found = ratio(swift, side.reference, lambda record: record.measurement.train_seconds)
    assert (found.low, found.high, found.num_pairs) == pytest.approx((1.25, 1.5, 2))
