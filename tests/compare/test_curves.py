"""Curves over steps, tokens and time."""

import json

import pytest
from tests.compare.factory import make_train

from bakeoff.compare.curves import curve_of, curve_rows, extremes


def _events(folder, count, **more):
    folder.mkdir()
    steps = [
        {
            "kind": "step", "at": float(i), "step": i, "num_steps": count, "loss": 1.0 + i % 7,
            "learning_rate": 0.1, "grad_norm": 9.0 if i == 777 else 1.0, "seconds": 0.5,
            "num_tokens": 100, **more,
        }
        for i in range(1, count + 1)
    ]  # fmt: skip
    held_out = {"kind": "validation", "at": 2.5, "step": 2, "loss": 3.0}
    lines = [json.dumps(event) for event in [*steps[:2], held_out, *steps[2:]]]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_long_curve_is_thinned_without_losing_a_peak(tmp_path):
    curve = curve_of(_events(tmp_path / "r", 5000), "r", None)
    rows = curve_rows([curve], field="grad_norm", axis="step")
    assert len(rows) <= 302
    assert (777, 9.0) in {(row.x, row.y) for row in rows}
    assert {rows[0].x, rows[-1].x} == {1, 5000}


def test_the_same_curve_over_tokens_and_time(tmp_path):
    curve = curve_of(_events(tmp_path / "r", 10), "r", None)
    for axis, unit in (("step", 1), ("tokens", 100), ("seconds", 0.5)):
        rows = curve_rows([curve], field="loss", axis=axis)
        train = [row.x for row in rows if row.split == "train"]
        assert train == pytest.approx([unit * i for i in range(1, 11)])
        (held_out,) = [row for row in rows if row.split == "validation"]
        assert (held_out.x, held_out.y) == (2 * unit, 3.0)


def test_a_training_that_did_not_tell_its_tokens_has_no_curve_over_them(tmp_path):
    curve = curve_of(_events(tmp_path / "r", 10, num_tokens=None), "r", None)
    assert curve_rows([curve], field="loss", axis="tokens") == []


def test_without_events_the_record_is_drawn(tmp_path):
    record = make_train("t", num_steps=8)
    curve = curve_of(tmp_path / "t", "LoRA", record)
    assert len(curve.points) == 8
    assert curve.validation[0][0] == 0
    assert curve_rows([curve], field="loss", axis="tokens") == []


def test_extremes_of_every_stretch_are_kept():
    values = [0.0] * 1000
    values[123], values[456] = 5.0, -5.0
    kept = extremes(values, stretches=10)
    assert {0, 123, 456, 999} <= kept
    assert len(kept) <= 22
    assert extremes([1.0, 2.0], stretches=5) == {0, 1}
