"""Ratios from pairs of runs, held against values worked out by hand."""

import os

import pytest
from tests.compare.factory import make_train

from bakeoff.bench.machine import noise_notes
from bakeoff.bench.ratios import ratios, spread
from bakeoff.bench.train import in_turn
from bakeoff.bench.work import why_not_the_same
from bakeoff.schema.bench import BenchCell
from bakeoff.schema.record import Measurement


def _cell(backend, *, seconds, digest="rows", facts=None, setting="best"):
    return BenchCell(
        backend=backend,
        setting=setting,
        method="lora",
        seconds=seconds,
        start_seconds=[10.0] * len(seconds),
        peak_host_bytes=[2_000] * len(seconds),
        added_host_bytes=[None] * len(seconds),
        train_loss=[1.25 if backend == "builtin" else 1.5] * len(seconds),
        digest=digest,
        facts=facts or {"num_steps": 25},
    )


def test_a_ratio_is_the_median_of_pairs_of_the_same_repeat():
    # 30/10 = 3, 44/20 = 2.2, 25/10 = 2.5; the ratio of the medians would be 3.0.
    cells = [
        _cell("builtin", seconds=(10, 20, 10)),
        _cell("llamafactory", seconds=(30, 44, 25)),
    ]
    (found,) = ratios(cells, why_not_the_same)
    assert (found.of, found.to, found.setting) == ("builtin", "llamafactory", "best")
    assert (found.time.median, found.time.low, found.time.high) == (2.5, 2.2, 3.0)
    assert (found.num_pairs, found.interval) == (3, "min-max")
    assert found.memory.median == 1.0
    assert found.added_memory is None, "nobody measured it: that is no ratio of 0 or 1"
    assert found.loss_difference == 0.25


def test_a_repeat_that_one_of_them_failed_is_no_pair():
    cells = [_cell("builtin", seconds=(10, None)), _cell("swift", seconds=(30, 50))]
    (found,) = ratios(cells, why_not_the_same)
    assert (found.time.median, found.time.low, found.time.high) == (3.0, None, None)
    assert (found.num_pairs, found.interval) == (1, None)


def test_from_six_pairs_on_the_interval_is_drawn():
    own, other = [10.0] * 7, [20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 90.0]
    found = spread(other, own)
    assert found.median == 2.3
    assert 2.0 <= found.low < 2.3 < found.high < 9.0, "one bad pair does not widen it to itself"
    assert spread(other, own) == found, "the same figures give the same interval"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": "others"}, "same token ids and labels"),
        ({"digest": None}, "not known what token ids and labels swift"),
        ({"facts": {"num_steps": 24}}, "optimiser steps: builtin has 25, swift 24"),
        (
            {"facts": {"num_steps": 25, "trained_dtype": "bfloat16"}},
            "number format of what is trained: builtin has float32, swift bfloat16",
        ),
    ],
)
def test_other_work_is_refused_with_the_reason(change, said):
    own = _cell("builtin", seconds=(10,), facts={"num_steps": 25, "trained_dtype": "float32"})
    (found,) = ratios([own, _cell("swift", **{"seconds": (30,), **change})], why_not_the_same)
    assert said in found.refused
    assert found.time is None
    assert found.memory is None


def test_settings_are_held_against_the_same_setting_only():
    cells = [
        _cell("builtin", seconds=(10,)),
        _cell("swift", seconds=(30,)),
        _cell("swift", seconds=(60,), setting="lean"),
    ]
    assert [(r.setting, r.time.median) for r in ratios(cells, why_not_the_same)] == [("best", 3.0)]


def test_repeats_go_round_by_round():
    assert list(in_turn("ABC", 2)) == [(1, "A"), (1, "B"), (1, "C"), (2, "A"), (2, "B"), (2, "C")]


def test_a_run_that_others_disturbed_is_named():
    def record(**noise):
        return make_train("one", measurement=Measurement(wall_seconds=60, noise=noise))

    num_cores = os.cpu_count()
    assert not [*noise_notes([record(load_average_1m_at_end=num_cores + 0.4, steal_share=0.0)])]
    (crowded,) = noise_notes([record(load_average_1m_at_end=num_cores + 2.5)])
    assert "other programs" in crowded
    (stolen,) = noise_notes([record(steal_share=0.08)])
    assert "hypervisor took 8%" in stolen
