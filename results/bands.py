"""Lines with what lies around them, over seeds and over columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from results.statistics import interquartile_mean
from results.study import Statistic


@dataclass(frozen=True)
class Band:
    """Mean over seeds, or over their trials, and mean ± spread at each x.

    Attributes:
        missed: those x at which not all values were reached within the budget, and have no mean.
        diverged: those x at which all seeds diverged, and there is no mean, either.
        values: at each x, those that are known, which the mean is of.
    """

    x: list[Any]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    seeds: int
    missed: tuple[Any, ...] = ()
    diverged: tuple[Any, ...] = ()
    values: list[list[float]] = field(default_factory=list)


def band(
    x: Sequence[Any], seeds: Sequence[Sequence[float | None]], statistic: Statistic = "mean"
) -> Band:
    values = np.array([[np.nan if v is None else v for v in seed] for seed in seeds], dtype=float)
    known = np.isfinite(values)
    count = known.sum(0)
    mean = np.where(known, values, 0).sum(0) / np.maximum(count, 1)
    squares = (np.where(known, values - mean, 0) ** 2).sum(0)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    if statistic != "mean":
        deviation /= np.sqrt(np.maximum(count, 1))

    def listed(array: np.ndarray) -> list[float | None]:
        return [float(v) if n else None for v, n in zip(array, count, strict=True)]

    low, high = listed(mean - deviation), listed(mean + deviation)
    each = [place[is_known].tolist() for place, is_known in zip(values.T, known.T, strict=True)]
    return Band(list(x), listed(mean), low, high, len(values), values=each)


def on_log_axis(line: Band, statistic: Statistic = "mean") -> Band:
    """The same with the mean times and over the geometric deviation, or error, of the values.

    On a logarithmic axis it lies evenly around the mean, and never reaches 0, as mean ± spread does
    where that is the larger. There is none where a value is 0 or less.
    """
    if not line.values or line.low == line.mean == line.high:
        return line
    low, high = [], []
    for mean, values in zip(line.mean, line.values, strict=True):
        factor = geometric_spread(values, statistic)
        ends = (None, None) if mean is None or factor is None else (mean / factor, mean * factor)
        low.append(ends[0])
        high.append(ends[1])
    return replace(line, low=low, high=high)


def geometric_spread(values: Sequence[float], statistic: Statistic) -> float | None:
    """The factor e^d, where d is the deviation of the logarithms, or the error of their mean."""
    if not values or min(values) <= 0:
        return None
    if len(values) == 1:
        return 1.0
    deviation = float(np.log(values).std(ddof=1))
    return math.exp(deviation if statistic == "mean" else deviation / math.sqrt(len(values)))


# -- averages over columns -------------------------------------------------------------------------

# A row's values at each x: of seeds, on the scale of their column.
Scaled = dict[Any, list[float]]


def average(columns: list[dict[str, Band]], interquartile: bool) -> dict[str, Band]:
    """Row → its average over columns, each on its own scale, wherever all have a value."""
    scales = [scaled(lines) for lines in columns]
    line = interquartile_line if interquartile else mean_line
    seeds = max((line.seeds for lines in columns for line in lines.values()), default=0)
    rows = columns[0] if columns else {}
    return {row: line([scale[row] for scale in scales], seeds) for row in rows}


def scaled(lines: dict[str, Band]) -> dict[str, Scaled]:
    """Row → the values of its seeds, on a scale from the least mean of all rows to the greatest."""
    means = [v for line in lines.values() for v in line.mean if v is not None]
    least = min(means)
    span = max(means) - least or 1.0  # of a constant, all is 0
    return {
        row: {
            x: [(v - least) / span for v in values]
            for x, values in zip(line.x, line.values, strict=True)
            if values
        }
        for row, line in lines.items()
    }


def shared(columns: list[Scaled]) -> list[Any]:
    """Each x at which every column has a value, in order."""
    return sorted(set.intersection(*map(set, columns)))


def mean_line(columns: list[Scaled], seeds: int) -> Band:
    xs = shared(columns)
    mean: list[float | None] = [fmean(fmean(column[x]) for column in columns) for x in xs]
    return Band(xs, mean, mean, mean, seeds)


def interquartile_line(columns: list[Scaled], seeds: int) -> Band:
    """The interquartile mean and its interval, as rliable has them: none for one seed."""
    xs = shared(columns)
    found = [interquartile_mean([column[x] for column in columns]) for x in xs]
    center: list[float | None] = [each.center for each in found]
    return Band(xs, center, [each.low for each in found], [each.high for each in found], seeds)
