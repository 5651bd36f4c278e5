"""Bytes that a process sends in a step, by the ZeRO paper's section 7."""

import pytest

from bakeoff.predict.exchange import Exchanged, bytes_per_step

PSI = 1000.0
"""Bytes of the weights, and of their gradients."""


def sent(strategy, *, number=4, passes=1, weights=PSI, trained=PSI):
    return bytes_per_step(
        Exchanged(
            strategy=strategy,
            num_processes=number,
            num_passes=passes,
            weight_bytes=weights,
            trained_bytes=trained,
            gradient_bytes=trained,
        )
    )


@pytest.mark.parametrize(
    ("strategy", "psi"),
    [("ddp", 2), ("zero1", 2), ("zero2", 2), ("zero2-offload", 2), ("zero3", 3), ("fsdp", 3)],
)
def test_two_or_three_times_the_weights_less_the_part_that_stays(strategy, psi):
    assert sent(strategy) == psi * PSI * 3 / 4
    assert sent(strategy, number=1) == 0


def test_frozen_weights_are_gathered_and_never_summed():
    assert sent("ddp", weights=PSI, trained=10.0) == 15
    assert sent("zero3", weights=PSI, trained=10.0) == round(3 / 4 * (2 * PSI + 10))


def test_passes_of_a_step_count_where_each_of_them_exchanges():
    assert sent("ddp", passes=3) == sent("ddp")
    assert sent("zero3", passes=3) == 3 * sent("zero3")


def test_nothing_is_said_of_a_strategy_that_is_not_known():
    assert sent("pipeline") is None
