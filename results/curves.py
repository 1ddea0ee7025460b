"""What figures show, as numbers: curves, paths, a metric over one key of the grid or over two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from engine.texts import hydra_text
from results.analysis import Point, Result, Row, choose
from results.study import Figure, Statistic, Study, is_number


@dataclass(frozen=True)
class Band:
    """Mean over seeds, or over their trials, and mean ± spread at each x."""

    x: list[Any]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    seeds: int


def curve(point: Point, metric: str, statistic: Statistic = "mean") -> Band | None:
    """The mean learning curve over the seeds that finished; None where there is none."""
    curves = [
        record.curves[metric]
        for record in point.records
        if record.status == "finished" and metric in record.curves
    ]
    if not curves:
        return None
    steps = sorted({step for steps, _ in curves for step in steps})
    seeds = [dict(zip(*found, strict=True)) for found in curves]
    return band(steps, [[seed.get(step) for step in steps] for seed in seeds], statistic)


def drawn_curve(point: Point, wanted: Figure, statistic: Statistic) -> Band | None:
    """The curve of one of a study's figures: a metric over the steps or over another metric."""
    found = curve(point, wanted.metric, statistic)
    if found is None or wanted.x == "step":
        return found
    over = curve(point, wanted.x)
    if over is None:
        return None
    # One of them may be missing at an evaluation, as a score is before any game has ended.
    places = dict(zip(over.x, over.mean, strict=True))
    means = zip(found.x, found.mean, strict=True)
    both = [(places[step], mean) for step, mean in means if step in places]
    x, mean = [place for place, _ in both], [mean for _, mean in both]
    # A path has no spread along one axis.
    return replace(found, x=x, mean=mean, low=mean, high=mean)


def lines_of(result: Result, wanted: Figure) -> dict[str, dict[str, Band]]:
    """Column → row → line, of a figure that is no heat map.

    Where the figure is normalised, there is one column, the mean over those in which all rows of
    the figure have a line. It has a value wherever each of them has one.
    """
    columns: dict[str, dict[str, Band]] = {column: {} for column in result.study.columns}
    for row in result.rows:
        point = row.best if row.row in wanted.rows else None
        if point and (found := drawn_curve(point, wanted, result.study.statistic)):
            columns[row.column][row.row] = found
    if not wanted.normalised:
        return columns
    whole = [lines for lines in columns.values() if len(lines) == len(wanted.rows)]
    scales = [scaled(lines) for lines in whole]
    seeds = max((line.seeds for lines in whole for line in lines.values()), default=0)
    means = {row: mean_line([s[row] for s in scales], seeds) for row in wanted.rows if whole}
    return {f"mean of {len(whole)} columns": means}


def scaled(lines: dict[str, Band]) -> dict[str, dict[Any, float]]:
    """Row → x → the value there, on a scale from the least value of all rows to the greatest."""
    known = {
        row: {x: v for x, v in zip(line.x, line.mean, strict=True) if v is not None}
        for row, line in lines.items()
    }
    values = [value for line in known.values() for value in line.values()]
    least = min(values)
    span = max(values) - least or 1.0  # of a constant, all is 0
    return {row: {x: (v - least) / span for x, v in line.items()} for row, line in known.items()}


def mean_line(columns: list[dict[Any, float]], seeds: int) -> Band:
    x = sorted(set.intersection(*map(set, columns)))
    mean: list[float | None] = [fmean(column[place] for column in columns) for place in x]
    return Band(x, mean, mean, mean, seeds)


def sensitivity(row: Row, key: str, metric: str, study: Study) -> Band | None:
    """The metric over one key of the grid, the others at their best for each of its values.

    A value at which no seed finished is there, too, with None for its numbers.
    """
    by_value: dict[Any, list[Point]] = {}
    for point in row.points:
        by_value.setdefault(place(study, key, point.values[key]), []).append(point)
    numeric = all(map(is_number, study.grid[key]))
    places = sorted(by_value) if numeric else list(by_value)
    bests = [choose(study, by_value[value]) for value in places]
    found = [best.values_of(metric, study) if best else [] for best in bests]
    if not any(found):
        return None
    seeds = max(map(len, found))
    padded = [values + [None] * (seeds - len(values)) for values in found]
    return band(places, list(zip(*padded, strict=True)), study.statistic)


@dataclass(frozen=True)
class HeatMap:
    """Cells line by line: a number or a word in each, and a value that colours it or None."""

    texts: list[list[str]]
    colours: list[list[float | None]]
    x: list[str]
    y: list[str]


def heat_maps(result: Result, wanted: Figure) -> dict[str, HeatMap]:
    """A panel for each row and column of which something finished or diverged."""
    rows = [row for row in result.rows if row.row in wanted.rows]
    several = len(result.study.columns) > 1
    names = [f"{row.row}, {row.column}" if several else row.row for row in rows]
    found = [
        over_grid(r, wanted, result.study) if wanted.y else over_trials(r, wanted) for r in rows
    ]
    return {name: panel for name, panel in zip(names, found, strict=True) if panel}


def colour_range(panels: Iterable[HeatMap], log: bool) -> tuple[float, float]:
    """The least and the greatest value of all panels, which share one scale of colours.

    On a logarithmic one, values from 0 down have no place.
    """
    values = [v for panel in panels for line in panel.colours for v in line if v is not None]
    values = [v for v in values if v > 0 or not log]
    return min(values, default=1.0), max(values, default=1.0)


def over_grid(row: Row, wanted: Figure, study: Study) -> HeatMap | None:
    """The metric over two keys of the grid, other keys at their best.

    A cell says nan where all seeds diverged, and has a star where some did. None where no run that
    finished has the metric, and where there are no runs.
    """
    assert wanted.y is not None
    xs = list(dict.fromkeys(p.values[wanted.x] for p in row.points))
    ys = list(dict.fromkeys(p.values[wanted.y] for p in row.points))
    texts, colours = [], []
    for y in ys:
        found = [
            [p for p in row.points if (p.values[wanted.x], p.values[wanted.y]) == (x, y)]
            for x in xs
        ]
        means = [best_mean(points, wanted.metric, study) for points in found]
        colours.append(means)
        texts.append([cell_text(*pair) for pair in zip(found, means, strict=True)])
    said = colours if row.best else texts
    if not any(cell not in (None, "") for line in said for cell in line):
        return None
    return HeatMap(texts, colours, [hydra_text(x) for x in xs], [hydra_text(y) for y in ys])


def best_mean(points: list[Point], metric: str, study: Study) -> float | None:
    """The mean over the seeds that finished at the best of some grid points."""
    best = choose(study, points)
    values = best.values_of(metric, study) if best else []
    return fmean(values) if values else None


def cell_text(points: list[Point], mean: float | None) -> str:
    diverged = any(point.count("diverged") for point in points)
    if mean is None:
        return "nan" if diverged else ""
    return f"{mean:.3g}{'*' if diverged else ''}"


def over_trials(row: Row, wanted: Figure) -> HeatMap | None:
    """A metric of each trial of the first run that finished, `across` in a line."""
    assert wanted.across is not None
    if row.best is None:
        return None
    finished = (record for record in row.best.records if record.status == "finished")
    trials = next(finished).summary["trials"]
    if wanted.metric not in trials:
        return None
    numbers, shades = trials[wanted.metric], trials[wanted.shade]
    starts = range(0, len(numbers), wanted.across)
    lines = [[f"{v:.4g}" for v in numbers[i : i + wanted.across]] for i in starts]
    colours = [list(shades[i : i + wanted.across]) for i in starts]
    padding = [None] * (wanted.across - len(colours[-1]))
    lines[-1] += [""] * len(padding)
    colours[-1] += padding
    return HeatMap(lines, colours, [str(i + 1) for i in range(wanted.across)], [])


def place(study: Study, key: str, value: Any) -> Any:
    """Where a value of the grid stands on an axis: at a number, or else under its name."""
    return value if all(map(is_number, study.grid[key])) else hydra_text(value)


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

    return Band(
        list(x), listed(mean), listed(mean - deviation), listed(mean + deviation), len(values)
    )
