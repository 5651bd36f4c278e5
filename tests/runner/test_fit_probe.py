"""The largest pass by doubling and bisection."""

import pytest

from bakeoff.runner.fit_probe import largest_that


@pytest.mark.parametrize(("true_limit", "start"), [(1, 8), (5, 4), (7, 1), (16, 16), (200, 3)])
def test_the_largest_number_that_fits_is_found(true_limit, start):
    tried = []

    def fits(rows):
        tried.append(rows)
        return rows <= true_limit

    assert largest_that(fits, start=start, most=256) == true_limit
    assert len(tried) == len(set(tried)) <= 16


def test_nothing_fits_and_everything_fits():
    assert largest_that(lambda _: False, start=8, most=64) == 0
    assert largest_that(lambda _: True, start=8, most=64) == 64
