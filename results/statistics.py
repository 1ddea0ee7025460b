"""Statistics over seeds, with their spread and interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.study import Statistic

RESAMPLES = 10_000
MANY = 100
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A statistic over seeds.

    Attributes:
        center: the mean or the median.
        spread: standard deviation (with n - 1) for "mean", standard error (sd/√n) for "mean_se" and
            "median"; 0 for one seed.
        low, high: the ends of the 95% bootstrap interval of `center`.
        n: number of seeds.
    """

    center: float
    spread: float
    low: float
    high: float
    n: int

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


def estimate(values: Sequence[float], statistic: Statistic) -> Estimate:
    """Center and spread as `statistic` says, and the percentile bootstrap interval of the center.

    The bootstrap draws RESAMPLES times from the seeds with a fixed generator, so that a table
    rendered twice is the same; from MANY values or more, a tenth as often. With two or three seeds
    the interval is hardly more than their range.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("an estimate needs at least one value")
    sample = np.asarray(values, dtype=np.float64)
    reduce = np.median if statistic == "median" else np.mean
    deviation = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    resamples = RESAMPLES if len(sample) < MANY else RESAMPLES // 10
    drawn = np.random.default_rng(0).choice(sample, size=(resamples, len(sample)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(reduce(drawn, axis=1), [tail, 1 - tail])
    spread = deviation if statistic == "mean" else deviation / np.sqrt(len(sample))
    return Estimate(float(reduce(sample)), float(spread), float(low), float(high), len(sample))
