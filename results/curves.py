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
    """The mean learning curve over the seeds that finished; None where none has the metric."""
    curves = [
        record.curves[metric]
        for record in point.records
        if record.status == "finished" and metric in record.curves
    ]
    if not curves:
        return None
    all_steps = sorted({step for steps, _ in curves for step in steps})
    seeds = [dict(zip(steps, values, strict=True)) for steps, values in curves]
    return band(all_steps, [[seed.get(step) for step in all_steps] for seed in seeds], statistic)


def drawn_curve(point: Point, figure: Figure, statistic: Statistic) -> Band | None:
    """The curve of one of a study's figures: a metric over the steps or over another metric."""
    y_band = curve(point, figure.metric, statistic)
    if y_band is None or figure.x == "step":
        return y_band
    x_band = curve(point, figure.x)
    if x_band is None:
        return None
    # One of them may be missing at an evaluation, as a score is before any game has ended.
    x_at = dict(zip(x_band.x, x_band.mean, strict=True))
    y_at = zip(y_band.x, y_band.mean, strict=True)
    pairs = [(x_at[step], mean) for step, mean in y_at if step in x_at]
    xs, means = [x for x, _ in pairs], [mean for _, mean in pairs]
    # A path has no spread along one axis.
    return replace(y_band, x=xs, mean=means, low=means, high=means)


def lines_of(result: Result, figure: Figure) -> dict[str, dict[str, Band]]:
    """Column → row → line, of a figure that is no heat map.

    Where the figure is normalised, there is one column, the mean over those in which all rows of
    the figure have a line. It has a value wherever each of them has one.
    """
    columns: dict[str, dict[str, Band]] = {column: {} for column in result.study.columns}
    for row in result.rows:
        point = row.best if row.row in figure.rows else None
        if point and (line := drawn_curve(point, figure, result.study.statistic)):
            columns[row.column][row.row] = line
    if not figure.normalised:
        return columns
    complete = [lines for lines in columns.values() if len(lines) == len(figure.rows)]
    scales = [scaled(lines) for lines in complete]
    seeds = max((line.seeds for lines in complete for line in lines.values()), default=0)
    rows = figure.rows if complete else []
    means = {row: mean_line([scale[row] for scale in scales], seeds) for row in rows}
    return {f"mean of {len(complete)} columns": means}


def scaled(lines: dict[str, Band]) -> dict[str, dict[Any, float]]:
    """Row → x → the value there, on a scale from the least value of all rows to the greatest."""
    known = {
        row: {x: v for x, v in zip(line.x, line.mean, strict=True) if v is not None}
        for row, line in lines.items()
    }
    values = [v for line in known.values() for v in line.values()]
    least = min(values)
    span = max(values) - least or 1.0  # of a constant, all is 0
    return {row: {x: (v - least) / span for x, v in line.items()} for row, line in known.items()}


def mean_line(columns: list[dict[Any, float]], seeds: int) -> Band:
    xs = sorted(set.intersection(*map(set, columns)))
    mean: list[float | None] = [fmean(column[x] for column in columns) for x in xs]
    return Band(xs, mean, mean, mean, seeds)


def sensitivity(row: Row, key: str, metric: str, study: Study) -> Band | None:
    """The metric over one key of the grid, the others at their best for each of its values.

    The band has also the values at which no seed finished, with None for their numbers.
    """
    by_value: dict[Any, list[Point]] = {}
    for point in row.points:
        by_value.setdefault(axis_value(study, key, point.values[key]), []).append(point)
    numeric = all(map(is_number, study.grid[key]))
    xs = sorted(by_value) if numeric else list(by_value)
    bests = [choose(study, by_value[value]) for value in xs]
    values_of_bests = [best.values_of(metric, study) if best else [] for best in bests]
    if not any(values_of_bests):
        return None
    seeds = max(map(len, values_of_bests))
    padded = [values + [None] * (seeds - len(values)) for values in values_of_bests]
    return band(xs, list(zip(*padded, strict=True)), study.statistic)


@dataclass(frozen=True)
class HeatMap:
    """Squares line by line: the text in each, and the value that colours it, or None."""

    texts: list[list[str]]
    colours: list[list[float | None]]
    x: list[str]
    y: list[str]


def heat_maps(result: Result, figure: Figure) -> dict[str, HeatMap]:
    """A panel for each row and column of which something finished or diverged."""
    rows = [row for row in result.rows if row.row in figure.rows]
    has_columns = len(result.study.columns) > 1
    names = [f"{row.row}, {row.column}" if has_columns else row.row for row in rows]
    panels = [
        over_grid(row, figure, result.study) if figure.y else over_trials(row, figure)
        for row in rows
    ]
    return {name: panel for name, panel in zip(names, panels, strict=True) if panel}


def colour_range(panels: Iterable[HeatMap], log: bool) -> tuple[float, float]:
    """The least and the greatest value of all panels, which share one scale of colours.

    On a logarithmic one, only values above 0 count.
    """
    values = [v for panel in panels for line in panel.colours for v in line if v is not None]
    values = [v for v in values if v > 0 or not log]
    return min(values, default=1.0), max(values, default=1.0)


def over_grid(row: Row, figure: Figure, study: Study) -> HeatMap | None:
    """The metric over two keys of the grid, other keys at their best.

    A square says nan where all seeds diverged, and has a star where some did. None where no run
    that finished has the metric, and where there are no runs.
    """
    assert figure.y is not None
    xs = list(dict.fromkeys(point.values[figure.x] for point in row.points))
    ys = list(dict.fromkeys(point.values[figure.y] for point in row.points))
    texts, colours = [], []
    for y in ys:
        groups = [
            [p for p in row.points if (p.values[figure.x], p.values[figure.y]) == (x, y)]
            for x in xs
        ]
        means = [best_mean(group, figure.metric, study) for group in groups]
        colours.append(means)
        texts.append([square_text(*pair) for pair in zip(groups, means, strict=True)])
    # Before anything has finished, squares of diverged seeds are worth showing.
    squares = colours if row.best else texts
    if all(square in (None, "") for line in squares for square in line):
        return None
    return HeatMap(texts, colours, [hydra_text(x) for x in xs], [hydra_text(y) for y in ys])


def best_mean(points: list[Point], metric: str, study: Study) -> float | None:
    """The mean over the seeds that finished at the best of some grid points."""
    best = choose(study, points)
    values = best.values_of(metric, study) if best else []
    return fmean(values) if values else None


def square_text(points: list[Point], mean: float | None) -> str:
    diverged = any(point.count("diverged") for point in points)
    if mean is None:
        return "nan" if diverged else ""
    return f"{mean:.3g}{'*' if diverged else ''}"


def over_trials(row: Row, figure: Figure) -> HeatMap | None:
    """A metric of each trial of the first run that finished, `across` in a line."""
    assert figure.across is not None
    if row.best is None:
        return None
    finished = (record for record in row.best.records if record.status == "finished")
    trials = next(finished).summary["trials"]
    if figure.metric not in trials:
        return None
    numbers, shades = trials[figure.metric], trials[figure.shade]
    starts = range(0, len(numbers), figure.across)
    lines = [[f"{number:.4g}" for number in numbers[i : i + figure.across]] for i in starts]
    colours = [list(shades[i : i + figure.across]) for i in starts]
    padding = [None] * (figure.across - len(colours[-1]))
    lines[-1] += [""] * len(padding)
    colours[-1] += padding
    return HeatMap(lines, colours, [str(i + 1) for i in range(figure.across)], [])


def axis_value(study: Study, key: str, value: Any) -> Any:
    """A value of the grid as an axis has it: the number, or its text unless all are numbers."""
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
