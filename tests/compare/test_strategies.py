"""Ways to spread a training, held against each other."""

import pytest
from tests.compare.factory import make_train

from bakeoff.compare.strategies import compare_strategies
from bakeoff.report.strategies import advice, strategies_parts
from bakeoff.report.strategy_chart import strategy_chart
from bakeoff.schema.record import Exchange, RankPeak

GIB = 1024**3


def spread(strategy, *, gib, step, number=2, speed=100.0, formats=("float32", "float32")):
    """A training of ``number`` processes that each added ``gib``."""
    ranks = tuple(
        RankPeak(rank=rank, host_bytes=GIB + round(gib * GIB), start_host_bytes=GIB)
        for rank in range(number)
    )
    record = make_train(f"train-{strategy}", method="full")
    measured = record.measurement.model_copy(
        update={
            "peak_by_rank": ranks,
            "num_processes": number,
            "step_seconds_median": step,
            "steady_tokens_per_second": speed,
            "exchange": Exchange(formula_bytes=1000, measured_bytes=1010, share_of_step=0.25)
            if number > 1
            else None,
        }
    )
    weight, master = formats
    kinds = {
        "batch_digest": "rows",
        "weight_dtype": weight,
        "master_dtype": master,
        "optimizer_dtype": master,
    }
    return record.model_copy(
        update={
            "measurement": measured,
            "cell": {**record.cell, "strategy": strategy, "world_size": number},
            "effective": {**record.effective, **kinds, "batch_digest": "rows"},
        }
    )


def with_digest(record, digest):
    return record.model_copy(update={"effective": {**record.effective, "batch_digest": digest}})


STUDY = [
    spread("single", gib=2.0, step=1.0, number=1, speed=100.0),
    spread("ddp", gib=2.5, step=0.6, speed=180.0),
    spread("zero2", gib=1.5, step=0.8, speed=140.0),
    spread("zero3", gib=1.6, step=1.2, speed=90.0),
]


def costs_of(records):
    (found,) = compare_strategies(records)
    return {cost.strategy: cost for cost in found.costs}


def test_memory_is_that_of_a_process_and_the_front_has_what_no_other_beats_in_both():
    costs = costs_of(STUDY)
    assert costs["ddp"].rank_bytes == 2.5 * GIB
    assert costs["ddp"].sum_bytes == 5 * GIB
    assert [name for name, cost in costs.items() if cost.on_front] == ["ddp", "zero2"]


def test_efficiency_is_tokens_a_second_of_a_process_over_those_of_one_alone():
    costs = costs_of(STUDY)
    assert costs["single"].efficiency == 1.0
    assert costs["ddp"].efficiency == pytest.approx(0.9)
    assert costs["zero3"].efficiency == pytest.approx(0.45)


def test_losses_are_held_against_those_of_one_process():
    other = spread("ddp", gib=2.5, step=0.6)
    first, *rest = other.losses
    changed = other.model_copy(
        update={"losses": (first.model_copy(update={"loss": first.loss * 1.01}), *rest)}
    )
    costs = costs_of([STUDY[0], changed])
    assert costs["ddp"].loss_difference == pytest.approx(0.01)
    assert costs["single"].loss_difference is None
    (part,) = strategies_parts(compare_strategies([STUDY[0], changed]))
    assert any("All saw equal rows" in text for text in part.sentences)
    (part,) = strategies_parts(compare_strategies([STUDY[0], with_digest(changed, "other")]))
    assert any("Not all saw equal rows" in text for text in part.sentences)


def test_one_sentence_says_what_to_take_and_what_where_that_does_not_fit():
    (found,) = compare_strategies(STUDY)
    text = advice(found)
    assert "take `ddp` over 2 processes" in text
    assert "`zero2` over 2 processes, which needs least (1.50 GiB a process" in text
    assert "1.33 times as long" in text


def test_other_number_formats_are_told_with_the_strategies_that_have_them():
    study = [
        spread("ddp", gib=2.0, step=1.0, formats=("bfloat16", "bfloat16")),
        spread("zero2", gib=2.2, step=1.0, formats=("bfloat16", "float32")),
    ]
    (part,) = strategies_parts(compare_strategies(study))
    (sentence,) = [text for text in part.sentences if "Number formats differ" in text]
    assert "`ddp`: bf16 / bf16 / bf16; `zero2`: bf16 / fp32 / fp32" in sentence


def test_a_study_of_one_strategy_has_no_such_section_and_no_picture():
    assert compare_strategies([STUDY[1], STUDY[1]]) == []
    assert strategy_chart([]) is None


def test_the_picture_has_a_point_a_strategy():
    chart = strategy_chart(compare_strategies(STUDY))
    points = [
        (row["name"], row["front"]) for row in next(iter(chart.to_dict()["datasets"].values()))
    ]
    assert points == [
        ("ddp", "no other is better in both"),
        ("zero2", "no other is better in both"),
        ("single", "another is"),
        ("zero3", "another is"),
    ]


def test_names_in_the_picture_stand_where_they_cover_no_other():
    close = [
        spread("single", gib=3.1, step=6.9),
        spread("ddp", gib=4.72, step=7.58),
        spread("zero1", gib=4.61, step=9.12),
        spread("fsdp", gib=4.42, step=10.7),
        spread("zero2", gib=3.77, step=10.3),
    ]
    chart = strategy_chart(compare_strategies(close))
    rows = next(iter(chart.to_dict()["datasets"].values()))
    # A line leaves the front to the right, and the name `ddp` has the place left of zero1.
    assert {row["name"]: row["side"] for row in rows} == {
        "single": "left", "ddp": "right", "zero1": "below", "zero2": "right", "fsdp": "right"
    }  # fmt: skip
