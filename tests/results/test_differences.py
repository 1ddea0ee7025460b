"""Differences to print and to a reference row, against numbers worked out and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from results.differences import (
    compare,
    detectable,
    holm,
    probability_of_improvement,
    to_print,
)
from results.published import Printed
from results.statistics import estimate

# -- to print --------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", ["mean", "mean_se"])
def test_a_difference_to_print_is_welchs(statistic):
    ours, theirs = [2.0, 4.0, 4.5, 5.0, 7.0], [3.0, 1.0, 2.0, 2.5]
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    for printed in (
        Printed(np.mean(theirs), 4, np.std(theirs, ddof=1), "standard deviation"),
        Printed(np.mean(theirs), 4, np.std(theirs, ddof=1) / 2, "standard error"),
    ):
        found = to_print(estimate(ours, statistic), printed, statistic)
        assert found.center == pytest.approx(np.mean(ours) - np.mean(theirs))
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_runs_without_a_spread_in_print_have_ours():
    """It is the interval in which a mean of `n` more runs like ours would lie."""
    ours = [2.0, 4.0, 9.0]
    for n in (1, 5):
        found = to_print(estimate(ours, "mean"), Printed(4.0, n), "mean")
        half = stats.t.ppf(0.975, 2) * np.std(ours, ddof=1) * math.sqrt(1 / 3 + 1 / n)
        assert (found.low, found.high) == pytest.approx((1 - half, 1 + half))
        assert found.holds_zero


def test_two_medians_differ_by_more_than_two_means():
    printed = Printed(0.0, 4, 1.0, "standard error")
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    means, medians = (to_print(estimate(values, s), printed, s) for s in ("mean_se", "median"))
    wider = (medians.high - medians.low) / (means.high - means.low)
    assert wider == pytest.approx(math.sqrt(math.pi / 2))


def test_what_has_no_spread_has_no_interval():
    alone = to_print(estimate([1.0], "mean"), Printed(2.0, 4, 1.0, "standard error"), "mean")
    assert (alone.center, alone.low, alone.high, alone.holds_zero) == (-1, None, None, None)
    equal = estimate([1.0, 1.0, 1.0], "mean")
    assert to_print(equal, Printed(2.0, 4), "mean").low is None
    assert to_print(equal, Printed(2.0, 4, 0.1, "standard error"), "mean").holds_zero is False


def outcomes(ones, n):
    return estimate([1.0] * ones + [0.0] * (n - ones), "mean_se", binary=True)


def test_a_difference_of_fractions_to_print_has_both_exact_intervals():
    # 612 of 1,000 against 65 of 100: MAdam, section 4.1, AMSGrad at 0.9.
    found = to_print(outcomes(612, 1000), Printed(0.65, 100), "mean_se")
    ours = stats.binomtest(612, 1000).proportion_ci()
    theirs = stats.binomtest(65, 100).proportion_ci()
    assert found.center == pytest.approx(-0.038)
    below = math.hypot(0.612 - ours.low, theirs.high - 0.65)
    above = math.hypot(ours.high - 0.612, 0.65 - theirs.low)
    assert (found.low, found.high) == pytest.approx((-0.038 - below, -0.038 + above))
    # 1.96 standard errors, √(0.612·0.388/1000 + 0.65·0.35/100) = 0.0501, are about as wide.
    assert (found.low, found.high) == pytest.approx((-0.136, 0.060), abs=0.01)
    assert found.holds_zero


def test_fractions_that_are_all_alike_differ_within_an_interval():
    # All of 1,000 and all of 100: the truths are above 0.025^(1/1000) and 0.025^(1/100).
    found = to_print(outcomes(1000, 1000), Printed(1.0, 100), "mean_se")
    assert (found.low, found.high) == pytest.approx((0.025**0.001 - 1, 1 - 0.025**0.01))
    assert found.holds_zero
    assert to_print(outcomes(0, 1000), Printed(1.0, 100), "mean_se").holds_zero is False


def test_a_fraction_of_an_unknown_number_of_trials_has_no_interval():
    for printed in (Printed(0.65), Printed(0.655, 100)):
        found = to_print(outcomes(612, 1000), printed, "mean_se")
        assert (found.low, found.high, found.holds_zero) == (None, None, None)


def test_equal_fractions_are_inside_at_least_as_often_as_it_says():
    draw = np.random.default_rng(0)
    for p in (0.01, 0.65):
        pairs = zip(draw.binomial(200, p, 500), draw.binomial(100, p, 500), strict=True)
        inside = [
            to_print(outcomes(ours, 200), Printed(theirs / 100, 100), "mean_se").holds_zero
            for ours, theirs in pairs
        ]
        assert np.mean(inside) >= 0.95


@pytest.mark.parametrize("deviation", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_equal_optimizers_are_inside_about_as_often_as_it_says(statistic, deviation):
    """Ours have the standard deviation 1, 5 runs; those in print another one, 4 runs."""
    draw = np.random.default_rng(0)
    reduce = np.median if statistic == "median" else np.mean
    inside = []
    for _ in range(2_000):
        theirs = deviation * draw.normal(size=4)
        printed = Printed(reduce(theirs), 4, theirs.std(ddof=1), "standard deviation")
        found = to_print(estimate(draw.normal(size=5), statistic), printed, statistic)
        inside.append(found.holds_zero)
    # Medians of few values have less error than of many, which is what is assumed.
    assert 0.93 <= np.mean(inside) <= (0.99 if statistic == "median" else 0.97)


# -- to a reference row ----------------------------------------------------------------------------


def test_a_paired_difference_is_students():
    row, reference = [1.0, 2.5, 3.0, 4.0], [1.5, 2.0, 4.5, 6.0]
    found = compare(row, reference, lower_is_better=True)
    expected = stats.ttest_rel(row, reference)
    interval = expected.confidence_interval()
    assert found.difference.center == pytest.approx(-0.875)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (interval.low, interval.high)
    )
    assert found.p == pytest.approx(expected.pvalue)
    assert found.deviation == pytest.approx(np.std(np.subtract(row, reference), ddof=1))
    assert found.n == 4


def test_pairs_that_differ_by_the_same_have_no_spread():
    # Such as accuracies on a few images, and whatever is equal but for the rounding of float32.
    for row in ([0.95, 0.97], np.float32([0.95, 0.97]).tolist()):
        found = compare(row, [0.94, 0.96], lower_is_better=False)
        assert found.difference.center == pytest.approx(0.01, rel=1e-4)
        assert (found.difference.low, found.p, found.deviation, found.n) == (None, None, None, 2)
    assert compare([1.0], [2.0], lower_is_better=True).p is None


def test_the_probability_of_improvement_counts_all_pairs():
    better = probability_of_improvement(np.array([1, 2, 5]), np.array([2, 3]), True)
    # 1 is below both, 2 is below one and ties with the other, 5 is below none.
    assert better == pytest.approx((2 + 1.5) / 6)
    statistic = stats.mannwhitneyu([1, 2, 5], [2, 3]).statistic
    assert better == pytest.approx(1 - statistic / 6)
    assert compare([1.0, 2.0], [2.0, 3.0], lower_is_better=False).improves == 1 / 8


def test_the_probability_of_improvement_is_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    ours, theirs = np.random.default_rng(0).integers(5, size=(2, 6)).astype(float)
    expected = metrics.probability_of_improvement(ours[:, None], theirs[:, None])
    assert probability_of_improvement(ours, theirs, False) == pytest.approx(expected)


def test_holm():
    # Worked out by hand: 3·0.01, 2·0.02 and 0.03, but none below one that is smaller.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_detectable_difference_is_shown_80_times_of_100(n):
    draw = np.random.default_rng(n)
    for comparisons in (1, 5):
        shift = detectable(2.0, n, comparisons)
        drawn = draw.normal(shift, 2.0, size=(20_000, n))
        shown = stats.ttest_1samp(drawn, 0, axis=1).pvalue * comparisons <= 0.05
        assert np.mean(shown) == pytest.approx(0.8, abs=0.015)


# -- A/A: the same optimizer under other names -----------------------------------------------------

# What five rows and the reference have in common in a seed, and what each has of its own.
# Accuracies on 1,000 images come in steps, and losses are skewed.
KINDS = {
    "normal": lambda draw, n: draw.normal(size=(n, 1)) + draw.normal(size=(n, 6)),
    "accuracies": lambda draw, n: draw.binomial(1000, 0.95, size=(n, 6)) / 1000,
    "losses": lambda draw, n: np.exp(draw.normal(size=(n, 1)) + draw.normal(size=(n, 6))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_equal_optimizers_seldom_win(kind, n):
    """10,000 comparisons, five at once against one reference row, as a table makes them."""
    draw = np.random.default_rng(n)
    wins, tables_with_wins, uncorrected = 0, 0, 0
    for _ in range(2_000):
        values = KINDS[kind](draw, n)
        found = [compare(row, values[:, 0], lower_is_better=True) for row in values.T[1:]]
        tested = [one for one in found if one.p is not None]
        won = [
            p <= 0.05 and one.difference.center < 0
            for one, p in zip(tested, holm([one.p for one in tested]), strict=True)
        ]
        wins += sum(won)
        tables_with_wins += any(won)
        uncorrected += any(one.p <= 0.05 for one in tested)
    assert wins / 10_000 <= 0.05
    assert tables_with_wins / 2_000 <= 0.05
    # Without the correction, more tables than that would claim something.
    assert uncorrected / 2_000 > 0.05
