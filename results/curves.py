"""What figures show, as numbers: curves, paths, a metric over one key of the grid or over two."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import compress
from statistics import fmean
from typing import Any

from engine.metrics import reached_of
from engine.record_files import ENDED
from engine.records import Curve, Record
from engine.texts import hydra_text
from results.analysis import Point, Result, Row, choose
from results.bands import Band, average, band
from results.smoothing import smoothed
from results.study import Figure, Statistic, Study, is_number
from results.symbols import setting


def curve(
    point: Point,
    metric: str,
    statistic: Statistic = "mean",
    figure: Figure | None = None,
) -> Band | None:
    """The mean learning curve over the seeds that finished; None where none has the metric.

    A figure may ask for smooth ones, and for those of seeds that diverged, too.
    """
    statuses = ENDED if figure and figure.lines else ("finished",)
    records = [r for r in point.records if r.status in statuses and metric in r.curves]
    curves = [reached_curve(record, metric) for record in records]
    if figure:
        pairs = zip(records, curves, strict=True)
        curves = [smoothed(record, found, figure) for record, found in pairs]
    if not curves:
        return None
    # A mean of the seeds that are left would not end where one diverges.
    ends = [r.summary["step"] for r in records if r.status == "diverged"]
    last = min(ends, default=None)
    all_steps = sorted({s for steps, _ in curves for s in steps if last is None or s <= last})
    seeds = [dict(zip(steps, values, strict=True)) for steps, values in curves]
    return band(all_steps, [[seed.get(step) for step in all_steps] for seed in seeds], statistic)


def reached_curve(record: Record, metric: str) -> Curve:
    """A run's curve, without a value until it is reached in all trials."""
    steps, values = record.curves[metric]
    shares = record.curves.get(reached_of(metric) or "")
    if shares is None:
        return steps, values
    share_at = dict(zip(*shares, strict=True))
    return steps, [
        value if share_at.get(step) == 1 else None
        for step, value in zip(steps, values, strict=True)
    ]


def drawn_curve(point: Point, figure: Figure, statistic: Statistic) -> Band | None:
    """The curve of one of a study's figures: a metric over the steps or over another metric."""
    y_band = curve(point, figure.metric, statistic, figure)
    if y_band is None or figure.x == "step":
        return y_band
    x_band = curve(point, figure.x)
    if x_band is None:
        return None
    # One of them may be missing at an evaluation, as a score is before any game has ended.
    x_at = dict(zip(x_band.x, x_band.mean, strict=True))
    places = [i for i, step in enumerate(y_band.x) if step in x_at]
    xs, means = [x_at[y_band.x[i]] for i in places], [y_band.mean[i] for i in places]
    values = [y_band.values[i] for i in places]
    low, high = ([ends[i] for i in places] for ends in (y_band.low, y_band.high))
    known = [x for x in xs if x is not None]
    if known != sorted(known):  # A path, which goes back and forth, has no spread along one axis.
        low = high = means
    return replace(y_band, x=xs, mean=means, low=low, high=high, values=values)


def lines_of(result: Result, figure: Figure) -> dict[str, dict[str, Band]]:
    """Column → row → line, of a figure that is no heat map.

    Over a key of the grid, the others are at their best for each of its values.

    Where the figure is normalised, there is one column, the average over those in which all rows of
    the figure have a line. It has a value wherever each of them has one.
    """
    study = result.study
    if figure.lines is not None:
        return lines_of_grid(result, figure)
    columns: dict[str, dict[str, Band]] = {c: {} for c in figure.columns or study.columns}
    for row in result.rows:
        if row.shown is None or row.row not in figure.rows or row.column not in columns:
            continue
        if figure.x in study.keys:
            line = sensitivity(row, figure.x, figure.metric, study)
        else:
            line = drawn_curve(row.shown, figure, study.statistic)
        if line:
            columns[row.column][row.row] = line
    if not figure.normalised:
        return columns
    complete = [lines for lines in columns.values() if len(lines) == len(figure.rows)]
    name = f"{figure.average} of {len(complete)} columns"
    return {name: average(complete, figure.interquartile)}


def lines_of_grid(result: Result, figure: Figure) -> dict[str, dict[str, Band]]:
    """Panel → value of the figure's key for lines → line, also of runs that diverged.

    There is a panel for each row and column, for each value of the figure's key for panels. Other
    keys are at their best.
    """
    study, columns = result.study, figure.columns or result.study.columns
    rows = [row for row in result.rows if row.row in figure.rows and row.column in columns]
    panels: dict[str, dict[str, Band]] = {}
    for value in study.tried(figure.panels) if figure.panels else [None]:
        for row in rows:
            name = [row.row, row.column] if len(columns) > 1 else [row.row]
            if figure.panels:
                name.append(setting(figure.panels, value, study.paper))
            points = [p for p in row.points if not figure.panels or is_at(p, figure.panels, value)]
            panels[", ".join(name)] = lines_over(points, figure, study)
    return panels


def lines_over(points: list[Point], figure: Figure, study: Study) -> dict[str, Band]:
    assert figure.lines is not None
    lines: dict[str, Band] = {}
    for value in study.tried(figure.lines):
        group = [point for point in points if is_at(point, figure.lines, value)]
        shown = choose(study, group) or next(iter(group), None)
        if shown and (line := drawn_curve(shown, figure, study.statistic)):
            lines[setting(figure.lines, value, study.paper)] = line
    return lines


def is_at(point: Point, key: str, value: Any) -> bool:
    return key in point.values and point.values[key] == value


def sensitivity(row: Row, key: str, metric: str, study: Study) -> Band | None:
    """The metric over one key of the grid, the others at their best for each of its values.

    The band has also the values at which no seed finished, and those at which the metric was not
    reached everywhere, with None for their numbers. None where the row has one value of the key.
    """
    by_value: dict[Any, list[Point]] = {}
    if any(key not in point.values for point in row.points):
        return None
    for point in row.points:
        by_value.setdefault(axis_value(study, key, point.values[key]), []).append(point)
    numeric = all(map(is_number, study.tried(key)))
    xs = sorted(by_value) if numeric else list(by_value)
    bests = [choose(study, by_value[value]) for value in xs]
    found = [best.values_of(metric, study) if best else [] for best in bests]
    if not any(found):
        return None
    missed = [best is not None and best.missed(metric, study) > 0 for best in bests]
    lost = [best is None and diverged_at(by_value[x]) for x, best in zip(xs, bests, strict=True)]
    seeds = max(map(len, found))
    padded = [
        [None] * seeds if miss else values + [None] * (seeds - len(values))
        for values, miss in zip(found, missed, strict=True)
    ]
    line = band(xs, list(zip(*padded, strict=True)), study.statistic)
    return replace(line, missed=tuple(compress(xs, missed)), diverged=tuple(compress(xs, lost)))


def diverged_at(points: list[Point]) -> bool:
    return any(point.count("diverged") for point in points)


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
    xs = list(dict.fromkeys(point.values.get(figure.x) for point in row.points))
    ys = list(dict.fromkeys(point.values.get(figure.y) for point in row.points))
    texts, colours = [], []
    for y in ys:
        groups = [
            [p for p in row.points if (p.values.get(figure.x), p.values.get(figure.y)) == (x, y)]
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
    if mean is None:
        return "nan" if diverged_at(points) else ""
    return f"{mean:.3g}{'*' if diverged_at(points) else ''}"


def over_trials(row: Row, figure: Figure) -> HeatMap | None:
    """A metric of each trial of the first run that finished, `across` in a line."""
    assert figure.across is not None
    if row.best is None or row.shown is None:
        return None
    finished = [record for record in row.shown.records if record.status == "finished"]
    trials = finished[0].summary.get("trials", {}) if finished else {}
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
    return value if all(map(is_number, study.tried(key))) else hydra_text(value)
