"""Steps on devices that are not here: what formulas must agree with, and what must grow or fall."""

import time

import pytest

from bakeoff.predict.collective_time import bus_bytes_per_second, nodes_of, seconds_of
from bakeoff.predict.duration import EFFICIENCY, seconds_on
from bakeoff.predict.exchange import bytes_per_step
from bakeoff.predict.facts import shards_of
from bakeoff.predict.gpus import find_gpu
from bakeoff.predict.links import LINKS, cluster_of, find_link, parse_network
from bakeoff.predict.memory import needed_alike, predict_analytic
from bakeoff.predict.shape import known_shape, make_shape
from bakeoff.predict.simulate import advise, reference_of, with_efficiency, with_front
from bakeoff.predict.speed_scores import score_speeds
from bakeoff.predict.step_time import exchanged_of, step_time
from bakeoff.predict.work import Work
from bakeoff.schema.simulation import SimulatedStep

A100 = find_gpu("a100-80gb")
CLUSTER = cluster_of(A100)
SHARED = ("ddp", "fsdp", "zero1", "zero2", "zero3", "zero2-offload", "zero3-offload")
KINDS = ("all_reduce", "reduce_scatter", "all_gather")


SHAPE = make_shape(
    name="six layers", hidden=2048, layers=6, heads=16, key_heads=16, head_size=128,
    intermediate=8192, vocabulary=32000, tied=True,
)  # fmt: skip


def _work(strategy="fsdp", number=8, **changes):
    shape = SHAPE
    shards = shards_of(strategy, number)
    work = Work(shape=shape, rows=4, tokens=512, trains_all=True, accumulation=2, shards=shards)
    return work.changed(**changes)


def _time(strategy, number, cluster=CLUSTER, **changes):
    work = _work(strategy, number, **changes)
    return step_time(work, exchanged_of(work, strategy, number), cluster, 0.4)


@pytest.mark.parametrize("strategy", SHARED)
@pytest.mark.parametrize("number", [2, 8, 1024])
def test_what_is_sent_is_what_the_formula_of_our_own_runs_says(strategy, number):
    work = _work(strategy, number)
    exchanged = exchanged_of(work, strategy, number)
    assert exchanged.weight_bytes == pytest.approx(2 * work.shape.parameters)
    assert _time(strategy, number).sent_bytes == pytest.approx(bytes_per_step(exchanged), abs=1)


def test_one_device_takes_the_time_that_fit_says():
    work = _work("single", 1)
    alone = step_time(work, exchanged_of(work, "single", 1), CLUSTER, EFFICIENCY)
    assert alone.total == pytest.approx(seconds_on(work, A100, 2 * 4 * 512, 1))
    assert (alone.exchange, alone.exposed, alone.offload) == (0, 0, 0)


def test_a_ring_takes_bytes_over_bandwidth_and_a_delay_a_hop():
    gigabyte = 1e9
    ring = seconds_of("all_gather", gigabyte, 8, CLUSTER)
    assert ring == pytest.approx(8.4e-6 + 7 * 3.4e-6 + 7 / 8 / 240)
    assert seconds_of("all_reduce", gigabyte, 8, CLUSTER) == pytest.approx(
        2 * 7 / 8 / 240, rel=0.01
    )
    # Eight adapters of 25 GB/s are narrower than NVLink inside.
    assert bus_bytes_per_second(16, CLUSTER) == 200e9
    assert seconds_of("all_gather", gigabyte, 16, CLUSTER) == pytest.approx(15 / 16 / 200, rel=0.03)
    assert [nodes_of(number, CLUSTER) for number in (1, 8, 9, 1024)] == [1, 1, 2, 128]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exchange_takes_longer_with_more_bytes_more_devices_and_narrower_ways(kind):
    sizes = [seconds_of(kind, size, 64, CLUSTER) for size in (0, 1e3, 1e6, 1e9)]
    numbers = [seconds_of(kind, 1e8, 2**power, CLUSTER) for power in range(11)]
    networks = [
        seconds_of(kind, 1e8, 64, cluster_of(A100, between=LINKS[key], num_adapters=1))
        for key in ("ib-400", "ib-100", "eth-25", "eth-10", "eth-1")
    ]
    for values in (sizes, numbers, networks):
        assert values == sorted(values)
        assert values[0] < values[-1]


@pytest.mark.parametrize("strategy", SHARED)
def test_more_is_exchanged_than_waited_for_and_hiding_never_makes_time(strategy):
    for number in (2, 8, 64, 1024):
        found = _time(strategy, number)
        assert 0 < found.exposed <= found.exchange
        assert found.total >= found.compute


def test_an_exchange_that_nothing_is_computed_behind_is_waited_for_whole():
    slow = cluster_of(A100, between=LINKS["eth-1"], num_adapters=1)
    found = _time("fsdp", 64, slow, rows=1, tokens=8)
    assert found.exposed == pytest.approx(found.exchange, rel=0.01)


def test_memory_falls_with_devices_where_something_is_shared_and_stays_where_nothing_is():
    for strategy in SHARED:
        tensors = [
            predict_analytic(_work(strategy, 2**power), A100).allocated_bytes for power in (1, 3, 6)
        ]
        assert tensors == sorted(tensors, reverse=True)
        assert (tensors[0] == tensors[-1]) is (strategy == "ddp")


@pytest.mark.parametrize("strategy", SHARED)
def test_the_quick_way_to_memory_is_near_the_long_one(strategy):
    like = predict_analytic(_work(strategy, 2), A100)
    for number in (8, 256):
        long = predict_analytic(_work(strategy, number), A100).needed_bytes
        assert needed_alike(_work(strategy, number), like) == pytest.approx(long, rel=0.15)


def test_states_of_a_parameter_are_those_of_the_paper():
    """Figure 1 of Rajbhandari et al. 2020: 120, 31.4, 16.6 and 1.9 GB for 7.5 B on 64 devices."""
    shape = known_shape("llama-7b")
    states = {"weights", "gradients", "optimizer"}
    for stage, published in ((1, 31.4), (2, 16.6), (3, 1.9)):
        shards = shards_of(f"zero{stage}", 64)
        work = Work(
            shape=shape, rows=1, tokens=8, trains_all=True, state_bytes=4, optimizer="fused",
            shards=shards,
        )  # fmt: skip
        parts = predict_analytic(work, A100).parts
        each = sum(part.num_bytes for part in parts if part.name in states) / shape.parameters
        # What stays of the largest gradient for a moment is not in the paper's figure.
        largest = 2 * shape.vocabulary * shape.hidden / shape.parameters
        assert published / 7.5 <= each * 1.02
        assert each <= published / 7.5 + 2 * largest


def test_a_thousand_devices_take_no_longer_to_simulate_than_two():
    """One process stands for all: work does not grow with the devices."""
    began = time.process_time()
    for _ in range(100):
        _time("zero3", 1024)
    assert time.process_time() - began < 1


def test_links_are_found_and_mistakes_are_told():
    assert parse_network("8xib-200") == (LINKS["ib-200"], 8)
    assert parse_network("eth-25") == (LINKS["eth-25"], None)
    for name, place in (("nvlink44", "inside"), ("ib-200", "inside"), ("nvlink4", "between")):
        with pytest.raises(Exception, match=f"--{place} must be one of"):
            find_link(name, place)
    with pytest.raises(Exception, match="one adapter or more"):
        parse_network("0xib-200")


def test_usual_machines_are_those_that_are_sold():
    assert (CLUSTER.inside.key, CLUSTER.between.key, CLUSTER.num_adapters) == (
        "nvlink3",
        "ib-200",
        8,
    )
    desktop = cluster_of(find_gpu("rtx4090-24gb"))
    assert (desktop.devices_per_node, desktop.inside.key, desktop.num_adapters) == (2, "pcie4", 1)
    assert cluster_of(find_gpu("rtx4060-8gb-laptop")).devices_per_node == 1


def _step(strategy, number, seconds, gigabytes, *, limit=80, rows=16):
    return SimulatedStep(
        strategy=strategy, num_devices=number, num_nodes=1, scaling="strong", rows_per_step=rows,
        rows_a_pass=1, num_passes=1, needed_bytes=round(gigabytes * 1e9), host_bytes=0,
        fits=gigabytes <= limit, compute_seconds=seconds, exchange_seconds=0, exposed_seconds=0,
        optimizer_seconds=0, offload_seconds=0, sent_bytes=0,
        tokens_per_second=rows * 100 / seconds,
    )  # fmt: skip


def test_efficiency_is_against_one_device_or_the_fewest_that_hold_it():
    steps = [_step("single", 1, 8, 60), _step("ddp", 4, 2.5, 60), _step("zero3", 4, 2, 20)]
    held = reference_of(steps)
    assert held.strategy == "single"
    assert [round(s.efficiency, 2) for s in with_efficiency(steps, held)] == [1, 0.8, 1]
    large = [_step("single", 1, 8, 160), _step("zero2", 2, 5, 90), *steps[1:]]
    assert reference_of(large).strategy == "zero3"
    assert reference_of(large[:2]) is None


def test_the_front_is_of_what_fits_on_as_many_devices():
    steps = [
        _step("ddp", 4, 2.0, 60), _step("zero2", 4, 2.2, 30), _step("zero1", 4, 2.3, 40),
        _step("zero3", 8, 9.0, 70), _step("none", 4, 1.0, 90),
    ]  # fmt: skip
    assert [s.strategy for s in with_front(steps) if s.on_front] == ["ddp", "zero2", "zero3"]


def test_advice_names_the_fewest_devices_and_how_many_more_pay():
    steps = [_step("single", 1, 16, 60), _step("ddp", 8, 2.2, 60), _step("ddp", 16, 2.0, 60)]
    found = advise(with_efficiency(steps, steps[0]), "strong", "A100")
    assert "`single` on 1 x A100 is the least" in found
    assert "up to `ddp` on 8 x A100" in found
    assert found.endswith("16 reach 50 %.")
    assert "Nothing fits: `zero3` on 4" in advise([_step("zero3", 4, 1, 99)], "strong", "A100")
    few = [_step("single", 1, 16, 60), _step("ddp", 64, 2.0, 60)]
    assert "some idle" in advise(with_efficiency(few, few[0]), "strong", "A100")


def test_published_changes_of_speed_are_met_by_half_of_the_predictions_within_four_per_cent():
    found = score_speeds()
    assert len(found.cases) >= 45
    assert found.median_error < 0.04
    assert found.median_error <= found.unchanged_error


def test_slow_networks_cost_the_sharded_most():
    slow = cluster_of(A100, between=LINKS["eth-10"], num_adapters=1)
    waits = {name: _time(name, 16, slow).exposed for name in ("ddp", "zero1", "zero3")}
    assert waits["ddp"] < waits["zero3"]
    for strategy in SHARED:
        assert _time(strategy, 16).total < _time(strategy, 16, slow).total
