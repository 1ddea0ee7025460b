"""Differences between two means: of a row and print, and of two rows seed by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from results.published import Printed
from results.statistics import (
    CONFIDENCE,
    Array,
    Estimate,
    fraction_interval,
    mean_interval,
    t_quantile,
)
from results.study import Statistic

POWER = 0.8
SIGNIFICANT = 1 - CONFIDENCE

# The standard error of a median over that of the mean: of many normal values; of few, it is less.
MEDIAN_ERROR = math.sqrt(math.pi / 2)


@dataclass(frozen=True)
class Difference:
    """A difference of two means or medians.

    Attributes:
        low, high: the ends of its 95% interval; None where a spread is not known.
    """

    center: float
    low: float | None = None
    high: float | None = None

    @property
    def holds_zero(self) -> bool | None:
        """Whether 0 is in the interval; None where there is none."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def to_print(ours: Estimate, printed: Printed, statistic: Statistic) -> Difference:
    """Ours minus the number in print, with an interval that has both spreads.

    It is Welch's, of two standard errors. Where the paper prints no spread, its runs are taken to
    have the standard deviation of ours. Without a spread of ours, or where all of our runs are
    equal and print has none, there is no interval. Of fractions, it is `fractions_differ`'s.
    """
    center = ours.center - printed.value
    if ours.binary:
        return fractions_differ(ours, printed)
    if ours.spread is None or not (ours.spread or printed.spread):
        return Difference(center)
    deviation = ours.spread if statistic == "mean" else ours.spread * math.sqrt(ours.n)
    errors = [(deviation / math.sqrt(ours.n), ours.n - 1)]
    if printed.error is None:
        error = math.hypot(*(deviation / math.sqrt(n) for n in (ours.n, printed.n)))
        degrees = ours.n - 1
    else:
        errors.append((printed.error, printed.n - 1))
        error = math.hypot(*(error for error, _ in errors))
        # Welch & Satterthwaite's degrees of freedom.
        degrees = error**4 / sum(error**4 / degrees for error, degrees in errors)
    half = t_quantile(degrees) * error * (MEDIAN_ERROR if statistic == "median" else 1)
    return Difference(center, center - half, center + half)


def fractions_differ(ours: Estimate, printed: Printed) -> Difference:
    """Ours minus the fraction in print, which is of the paper's number of trials.

    Each end is as far from the difference as the ends of the two fractions' own exact intervals
    are together, as the legs of a triangle (Zou & Donner 2008), so that there is one also where all
    outcomes are the same. Where the paper does not say of how many trials its fraction is, or it is
    none of so many, there is no interval.
    """
    center, ones = ours.center - printed.value, printed.value * printed.n
    if ours.low is None or ours.high is None or printed.n == 1 or abs(ones - round(ones)) > 0.01:
        return Difference(center)
    low, high = fraction_interval(round(ones), printed.n)
    below = math.hypot(ours.center - ours.low, high - printed.value)
    above = math.hypot(ours.high - ours.center, printed.value - low)
    return Difference(center, center - below, center + above)


@dataclass(frozen=True)
class Comparison:
    """A row against the reference row, over the seeds that both finished.

    Attributes:
        difference: the mean of the row's values minus the reference's, paired by seed, with
            Student's interval.
        improves: the probability that a run of the row is better than one of the reference, a tie
            counting half (Agarwal et al. 2021, section 4.3).
        p: of the two-sided paired t-test, before it is corrected for several comparisons.
        deviation: of the differences of pairs.
        n: pairs.

    With one pair, or where all pairs differ by the same, their spread is not known: there is then
    no interval, no p and no deviation.
    """

    difference: Difference
    improves: float
    p: float | None
    deviation: float | None
    n: int


def compare(row: Sequence[float], reference: Sequence[float], lower_is_better: bool) -> Comparison:
    """Compare values of the same seeds, in the same order."""
    ours, theirs = np.asarray(row, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    pairs = ours - theirs
    n = len(pairs)
    center = float(pairs.mean())
    improves = probability_of_improvement(ours, theirs, lower_is_better)
    # Values of float32 carry its rounding, which is no spread.
    rounding = 2 * np.finfo(np.float32).eps * max(np.abs(ours).max(), np.abs(theirs).max())
    if n == 1 or np.ptp(pairs) <= rounding:
        return Comparison(Difference(center), improves, None, None, n)
    low, high = map(float, mean_interval(pairs))
    deviation = float(pairs.std(ddof=1))
    p = two_sided(center / (deviation / math.sqrt(n)), n - 1)
    return Comparison(Difference(center, low, high), improves, p, deviation, n)


def probability_of_improvement(ours: Array, theirs: Array, lower_is_better: bool) -> float:
    signs = np.sign(ours[:, None] - theirs[None, :]) * (-1 if lower_is_better else 1)
    return float((signs.mean() + 1) / 2)


def two_sided(t: float, degrees: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(t)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for all of these comparisons, by Holm (1979)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(largest, 1.0)
    return corrected


def detectable(deviation: float, n: int, comparisons: int) -> float:
    """The smallest true difference that n pairs show with a probability of 80%.

    To show it is a p of at most 0.05 after the correction for all comparisons, at its strictest.

    Args:
        deviation: of the differences of pairs.
        n: pairs, two or more.
        comparisons: made at once.
    """
    return noncentrality(n, comparisons) * deviation / math.sqrt(n)


@cache
def noncentrality(n: int, comparisons: int) -> float:
    """The true difference, in standard errors, of which `detectable` speaks."""
    from scipy.optimize import root_scalar
    from scipy.stats import nct

    critical = t_quantile(n - 1, SIGNIFICANT / comparisons / 2)
    # In the tail that a true difference of this sign is in; the other one adds next to nothing.
    solved = root_scalar(
        lambda shift: nct.sf(critical, n - 1, shift) - POWER, bracket=(0, 4 * critical + 4)
    )
    return solved.root
