"""Estimates over seeds, against numbers worked out by hand and against simulation."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from results.analysis import Point, choose
from results.statistics import (
    estimate,
    fraction_interval,
    interquartile_mean,
    mean_interval,
    median_interval,
    selection_bias,
)


def test_mean_and_standard_deviation():
    # Squares of the distances from 5: 9, 1, 1, 1, 0, 0, 4, 16 → 32, over n - 1 = 7.
    found = estimate([2, 4, 4, 4, 5, 5, 7, 9], "mean")
    assert found.center == 5
    assert found.spread == pytest.approx(math.sqrt(32 / 7))
    assert found.n == 8
    # Of tables of Student's t: 97.5% are below 2.3646 with 7 degrees of freedom.
    half = 2.3646 * math.sqrt(32 / 7 / 8)
    assert (found.low, found.high) == pytest.approx((5 - half, 5 + half), abs=1e-4)


def test_median_and_standard_error():
    found = estimate([4, 4, 2, 4, 9, 5, 7, 5], "median")
    assert found.center == 4.5
    assert found.spread == pytest.approx(math.sqrt(32 / 7) / math.sqrt(8))
    # All 8 lie on one side of the median with 2/2⁸; at least 7 of them with 18/2⁸ = 7%.
    assert (found.low, found.high) == (2, 9)
    # An outlier moves a mean and not a median.
    assert estimate([1, 2, 300], "median").center == 2


def test_an_interval_of_a_median_takes_six_values():
    # The least and the greatest value miss it with 2/2ⁿ: 6.25% for n = 5, 3.1% for n = 6.
    assert estimate([1, 2, 3, 4, 5], "median").low is None
    found = estimate([6, 5, 4, 3, 2, 1], "median")
    assert (found.low, found.high) == (1, 6)
    # Of 9 values, the second of each end: 2·(1 + 9)/2⁹ = 3.9%.
    found = estimate(range(1, 10), "median")
    assert (found.low, found.high) == (2, 8)


def test_mean_and_standard_error():
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    mean, found = estimate(values, "mean"), estimate(values, "mean_se")
    assert found.spread == pytest.approx(math.sqrt(32 / 7) / math.sqrt(8))
    assert (found.center, found.low, found.high, found.n) == (5, mean.low, mean.high, 8)


@pytest.mark.parametrize("statistic", ["mean", "mean_se", "median"])
def test_one_seed_has_neither_spread_nor_interval(statistic):
    found = estimate([0.25], statistic)
    assert (found.center, found.n) == (0.25, 1)
    assert (found.spread, found.low, found.high) == (None, None, None)


def test_two_seeds_say_little():
    # 12.706 is the quantile of one degree of freedom; the standard error of (1, 3) is 1.
    found = estimate([1.0, 3.0], "mean")
    assert (found.low, found.high) == pytest.approx((2 - 12.706, 2 + 12.706), abs=1e-3)
    assert found.spread == pytest.approx(math.sqrt(2))


def test_equal_seeds_have_no_interval_of_their_mean():
    found = estimate([0.1] * 5, "mean")
    assert (found.low, found.high, found.spread) == (None, None, pytest.approx(0))
    # That of a median holds for values that come in steps as well.
    found = estimate([0.1] * 6, "median")
    assert (found.low, found.high) == (0.1, 0.1)


def test_the_standard_error_of_a_fraction():
    # 3 of 4: √(¾·¼/4) = √3/8. Student's, of n - 1, would be ¼.
    found = estimate([1, 0, 1, 1], "mean_se", binary=True)
    assert (found.center, found.n, found.binary) == (0.75, 4, True)
    assert found.spread == pytest.approx(math.sqrt(3) / 8)
    assert estimate([1, 0, 1, 1], "mean", binary=True).spread == pytest.approx(math.sqrt(3) / 4)
    assert estimate([1, 0, 1, 1], "mean_se").spread == pytest.approx(0.25)
    # 612 of 1,000: √(0.612·0.388/1000).
    found = estimate([1] * 612 + [0] * 388, "mean_se", binary=True)
    assert found.spread == pytest.approx(0.0154096, abs=1e-7)


def test_the_interval_of_a_fraction():
    # None of n: (1 - p)ⁿ is 2.5% at 1 - 0.025^(1/n).
    found = estimate([0] * 100, "mean_se", binary=True)
    assert (found.low, found.high) == (0, pytest.approx(1 - 0.025**0.01))
    assert found.spread == 0
    found = estimate([1] * 100, "mean_se", binary=True)
    assert (found.low, found.high) == (pytest.approx(0.025**0.01), 1)
    # One of two: p² is 2.5% at the lower end of two ones, 1 - (1 - p)² is here.
    found = estimate([1, 0], "mean_se", binary=True)
    assert (found.low, found.high) == pytest.approx((1 - 0.975**0.5, 0.975**0.5))


def test_what_is_no_outcome_counts_as_any_value():
    # Such as means over trials; and a median of outcomes is one of them.
    assert estimate([0.5, 1.0], "mean_se", binary=True) == estimate([0.5, 1.0], "mean_se")
    assert estimate([0, 1, 1], "median", binary=True) == estimate([0, 1, 1], "median")
    assert estimate([1], "mean", binary=True) == estimate([1], "mean")


@pytest.mark.parametrize("statistic", ["mean", "mean_se", "median"])
def test_scale_and_place_carry_over(statistic):
    values = np.random.default_rng(4).normal(size=9)
    a, b = estimate(values, statistic), estimate(3 * values + 5, statistic)
    assert b.center == pytest.approx(3 * a.center + 5)
    assert b.spread == pytest.approx(3 * a.spread)
    assert (b.low, b.high) == pytest.approx((3 * a.low + 5, 3 * a.high + 5))


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        estimate([], "mean")
    with pytest.raises(ValueError, match="at least one score"):
        interquartile_mean([])


# -- coverage --------------------------------------------------------------------------------------

# How they are drawn, and their mean and median.
DISTRIBUTIONS = {
    "normal": (lambda draw, size: draw.normal(size=size), 0, 0),
    "skewed": (lambda draw, size: draw.exponential(size=size), 1, math.log(2)),
    "heavy-tailed": (lambda draw, size: draw.standard_t(3, size=size), 0, 0),
}
SIZES = (2, 3, 5, 10, 100)


def coverage(name, n, interval, truth, samples=20_000):
    values = DISTRIBUTIONS[name][0](np.random.default_rng(n), (samples, n))
    low, high = interval(values)
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", ["normal", "heavy-tailed"])
def test_intervals_of_means_cover_what_they_say(name, n):
    """Theory promises it for normal values at any n, and for symmetric ones nearly so."""
    assert 0.93 <= coverage(name, n, mean_interval, 0) <= 0.97


def test_intervals_of_means_of_skewed_values_cover_what_they_say_when_there_are_many():
    found = [coverage("skewed", n, mean_interval, 1) for n in SIZES]
    assert 0.93 <= found[-1] <= 0.97
    # With few, nothing is promised; the docstring says what was measured.
    assert all(0.87 <= share <= 0.92 for share in found[:-1]), found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_intervals_of_medians_cover_what_the_binomial_distribution_says(name):
    median = DISTRIBUTIONS[name][2]
    for n in (2, 3, 5):
        assert median_interval(np.zeros((1, n))) is None
    # 1 - 2·(1 + 10)/2¹⁰ for 10 values; they come in steps, and the one below is 89%.
    assert coverage(name, 10, median_interval, median) == pytest.approx(0.9785, abs=0.004)
    assert 0.93 <= coverage(name, 100, median_interval, median) <= 0.97


@pytest.mark.parametrize("p", [0.002, 0.05, 0.3, 0.612])
@pytest.mark.parametrize("n", [2, 20, 100])
def test_intervals_of_fractions_cover_at_least_what_they_say(p, n):
    """Added up over all that may come true, and so without chance."""
    ones = np.arange(n + 1)
    probability = stats.binom.pmf(ones, n, p)
    holds = [low <= p <= high for low, high in (fraction_interval(k, n) for k in range(n + 1))]
    assert probability[holds].sum() >= 0.95 - 1e-12


# -- a choice and what it does ---------------------------------------------------------------------


def test_the_expected_best_of_equal_points():
    assert selection_bias(1, 3) == pytest.approx(0, abs=1e-12)
    # Of two standard normal values, the greater is 1/√π on average.
    assert selection_bias(2, 1) == pytest.approx(1 / math.sqrt(math.pi))
    assert selection_bias(5, 3) == pytest.approx(0.67, abs=0.005)


def test_the_best_of_equal_points_looks_too_good_and_on_fresh_seeds_does_not(make_study):
    study = make_study()
    draw = np.random.default_rng(0)
    shown, fresh = [], []
    for _ in range(2_000):
        losses = draw.normal(size=(5, 3))
        best = choose(study, [point_of(values) for values in losses])
        shown.append(best.estimate("train/loss", study).center)
        fresh.append(draw.normal(size=3).mean())  # of whichever point: all are equally good
    # The least loss of 5; the error of these means over 2,000 tables is 0.39/√2000 = 0.009.
    assert np.mean(shown) == pytest.approx(-selection_bias(5, 3), abs=0.03)
    assert np.mean(fresh) == pytest.approx(0, abs=0.04)


def point_of(losses):
    records = [
        SimpleNamespace(
            status="finished", config={"seed": seed}, values=lambda *_, loss=loss: [loss]
        )
        for seed, loss in enumerate(losses)
    ]
    return Point({}, records, len(records))


# -- over tasks ------------------------------------------------------------------------------------


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    # Of 1 … 20, 6 to 15 are left. Tasks do not matter for it.
    scores = np.arange(1.0, 21).reshape(4, 5)
    found = interquartile_mean(scores)
    assert (found.center, found.n) == (10.5, 20)
    assert interquartile_mean([*scores[:1], 1000 * scores[3]]).center == pytest.approx(
        np.mean([3, 4, 5, 16000, 17000, 18000])
    )


def test_seeds_are_drawn_anew_in_each_task_by_itself():
    # Within each task all seeds are equal, so that nothing is left to chance.
    found = interquartile_mean([[task] * 5 for task in (0.0, 1.0, 2.0, 3.0)])
    assert (found.center, found.low, found.high, found.spread) == (1.5, 1.5, 1.5, 0)


def test_the_bootstrap_of_two_seeds_is_that_of_all_resamples():
    """Ten tasks of two seeds each: of these only two differ, and their draws can be counted."""
    tasks = [[0.0, 0.0]] * 3 + [[10.0, 10.0]] * 5 + [[1.0, 2.0], [4.0, 8.0]]
    # The middle half of 20 values, for each of the 4 × 4 ways to draw them.
    means = [
        np.sort([*[0.0] * 6, *[10.0] * 10, *first, *second])[5:15].mean()
        for first, second in itertools.product(
            itertools.product((1, 2), repeat=2), itertools.product((4, 8), repeat=2)
        )
    ]
    found = interquartile_mean(tasks)
    assert (found.low, found.high) == (min(means), max(means))
    assert found.spread == pytest.approx(np.std(means), rel=0.03)


def test_too_few_scores_have_no_interval():
    few = interquartile_mean([[1.0, 2.0, 3.0]] * 6)
    one_seed = interquartile_mean([[1.0, 2.0]] * 10 + [[1.0]])
    assert (few.n, few.low, few.high, few.spread) == (18, None, None, None)
    assert (one_seed.n, one_seed.low, one_seed.high) == (21, None, None)


def test_the_interquartile_mean_is_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    scores = np.random.default_rng(0).normal(size=(5, 7))  # runs × tasks
    assert interquartile_mean(scores.T).center == pytest.approx(metrics.aggregate_iqm(scores))


def test_equal_values_have_no_deviation():
    found = estimate([0.1] * 20, "mean")  # whose mean is rounded
    assert found.spread == 0.0 and found.low is None
