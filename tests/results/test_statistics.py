"""Estimates over seeds, against numbers worked out by hand and against simulation."""

import math

import numpy as np
import pytest

from results.statistics import estimate


def test_mean_and_standard_deviation():
    # Squares of the distances from 5: 9, 1, 1, 1, 0, 0, 4, 16 → 32, over n - 1 = 7.
    found = estimate([2, 4, 4, 4, 5, 5, 7, 9], "mean")
    assert found.center == 5
    assert found.spread == pytest.approx(math.sqrt(32 / 7))
    assert found.n == 8
    assert found.low < 5 < found.high


def test_median_and_standard_error():
    found = estimate([2, 4, 4, 4, 5, 5, 7, 9], "median")
    assert found.center == 4.5
    assert found.spread == pytest.approx(math.sqrt(32 / 7) / math.sqrt(8))
    # An outlier moves a mean and not a median.
    assert estimate([1, 2, 300], "median").center == 2


def test_mean_and_standard_error():
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    mean, found = estimate(values, "mean"), estimate(values, "mean_se")
    assert found.spread == pytest.approx(math.sqrt(32 / 7) / math.sqrt(8))
    assert (found.center, found.low, found.high, found.n) == (5, mean.low, mean.high, 8)


@pytest.mark.parametrize("statistic", ["mean", "mean_se", "median"])
def test_one_seed_has_no_spread(statistic):
    found = estimate([0.25], statistic)
    assert (found.center, found.spread, found.low, found.high, found.n) == (0.25, 0, 0.25, 0.25, 1)
    assert found.contains(0.25) and not found.contains(0.2500001)


def test_two_seeds_span_their_range():
    """Of the resamples of (a, b), a quarter each are (a, a) and (b, b)."""
    found = estimate([1.0, 3.0], "mean")
    assert (found.low, found.high) == (1, 3)
    assert found.spread == pytest.approx(math.sqrt(2))


def test_equal_seeds_have_an_interval_of_no_width():
    found = estimate([0.1] * 5, "mean")
    assert found.low == pytest.approx(0.1) == found.high
    assert found.spread == pytest.approx(0)


def test_the_interval_is_that_of_all_resamples():
    """For three seeds, all 27 equally likely resamples can be counted.

    Of (0, 0, 9): the mean is 0 with 8/27, 3 with 12/27, 6 with 6/27, 9 with 1/27 = 3.7%, so that
    the 2.5% and 97.5% points are 0 and 9.
    """
    found = estimate([0, 0, 9], "mean")
    assert (found.low, found.high) == (0, 9)
    # The median is 9 where two or three of three are: 7/27.
    found = estimate([0, 0, 9], "median")
    assert (found.center, found.low, found.high) == (0, 0, 9)


def test_the_same_seeds_give_the_same_interval_in_any_process():
    values = np.random.default_rng(3).normal(size=10)
    assert estimate(values, "mean") == estimate(list(values), "mean")


@pytest.mark.parametrize("statistic", ["mean", "mean_se", "median"])
def test_scale_and_place_carry_over(statistic):
    values = np.random.default_rng(4).normal(size=9)
    a, b = estimate(values, statistic), estimate(3 * values + 5, statistic)
    assert b.center == pytest.approx(3 * a.center + 5)
    assert b.spread == pytest.approx(3 * a.spread)
    assert (b.low, b.high) == pytest.approx((3 * a.low + 5, 3 * a.high + 5))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """The percentile bootstrap of 25 normal values covers about 93.5%, not 95% and not 80%."""
    draw = np.random.default_rng(5)
    hits = sum(estimate(draw.normal(2, 1, size=25), "mean").contains(2) for _ in range(300))
    assert 0.90 <= hits / 300 <= 0.97


def test_the_width_is_that_of_a_standard_error():
    # Of 200 values fewer resamples are drawn, so that the ends are less certain.
    for size, tolerance in ((90, 0.05), (200, 0.1)):
        values = np.random.default_rng(6).normal(size=size)
        found = estimate(values, "mean")
        expected = 2 * 1.96 * values.std(ddof=1) / math.sqrt(size)
        assert found.high - found.low == pytest.approx(expected, rel=tolerance)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        estimate([], "mean")
