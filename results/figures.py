"""Learning curves with their spread, and how much the learning rate matters, by matplotlib."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from results.analysis import Point, Result, Row, choose
from results.files import replacing
from results.metrics import METRICS
from results.study import Study, is_number, spell
from results.table import number, short

# Okabe & Ito's colours, which colour-blind readers can tell apart, then the same dashed.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "v", "D"]


@dataclass(frozen=True)
class Band:
    """Mean and standard deviation over seeds at each x."""

    x: list[Any]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    seeds: int


def curve(point: Point, metric: str) -> Band | None:
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
    return band(steps, [[seed.get(step) for step in steps] for seed in seeds])


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
    return band(places, list(zip(*padded, strict=True)))


def place(study: Study, key: str, value: Any) -> Any:
    """Where a value of the grid stands on an axis: at a number, or else under its name."""
    return value if all(map(is_number, study.grid[key])) else spell(value)


def band(x: Sequence[Any], seeds: Sequence[Sequence[float | None]]) -> Band:
    values = np.array([[np.nan if v is None else v for v in seed] for seed in seeds], dtype=float)
    known = np.isfinite(values)
    count = known.sum(0)
    mean = np.where(known, values, 0).sum(0) / np.maximum(count, 1)
    squares = (np.where(known, values - mean, 0) ** 2).sum(0)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))

    def listed(array: np.ndarray) -> list[float | None]:
        return [float(v) if n else None for v, n in zip(array, count, strict=True)]

    return Band(
        list(x), listed(mean), listed(mean - deviation), listed(mean + deviation), len(values)
    )


def draw(result: Result, folder: Path) -> list[Path]:
    """Write every figure of a study as PNG and PDF; return the PNGs' paths."""
    study = result.study
    written = []
    for name, wanted in study.figures.items():
        rows = [row for row in result.rows if row.row in wanted.rows]
        for column in study.columns:
            bands = {
                label(row): found
                for row in rows
                if row.column == column and row.best and (found := curve(row.best, wanted.metric))
            }
            suffix = f".{slug(column)}" if len(study.columns) > 1 else ""
            heading = f"{wanted.title}{f' ({column})' if suffix else ''}"
            path = folder / f"{result.name}.{name}{suffix}.png"
            written += plot(bands, path, heading, result, "step", wanted.metric, log_x=False)
    for key in study.grid:
        metric = study.select.metric
        for column in study.columns:
            bands = {
                row.row: found
                for row in result.rows
                if row.column == column and (found := sensitivity(row, key, metric, study))
            }
            suffix = f".{slug(column)}" if len(study.columns) > 1 else ""
            path = folder / f"{result.name}.{slug(key)}{suffix}.png"
            heading = f"Sensitivity to {key}{f' ({column})' if suffix else ''}"
            written += plot(
                bands, path, heading, result, key, metric, log_x=is_logarithmic(study.grid[key])
            )
    return written


def label(row: Row) -> str:
    assert row.best is not None
    values = ", ".join(f"{short(key)} {number(v)}" for key, v in row.best.values.items())
    return f"{row.row} ({values})" if values else row.row


def slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether values that are tried span more than one order of magnitude."""
    return all(is_number(v) and v > 0 for v in values) and max(values) > 10 * min(values)


def plot(
    bands: dict[str, Band],
    path: Path,
    heading: str,
    result: Result,
    x: str,
    metric: str,
    *,
    log_x: bool,
) -> list[Path]:
    """Draw one picture; nothing where there is nothing to draw."""
    if not bands:
        return []
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for index, (name, drawn) in enumerate(bands.items()):
        colour = COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        mean, low, high = (np.array(v, dtype=float) for v in (drawn.mean, drawn.low, drawn.high))
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(drawn.x, mean, style, color=colour, label=name, marker=marker, markersize=4)
        axes.fill_between(drawn.x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(x)
    axes.set_ylabel(METRICS[metric].label)
    if METRICS[metric].log:
        axes.set_yscale("log")
    if log_x:
        axes.set_xscale("log")
    axes.set_title(
        f"{heading}\n{result.study.name}, {result.made_with}, "
        f"mean ± sd of {max(b.seeds for b in bands.values())} seeds",
        fontsize=9,
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    for target in (path, path.with_suffix(".pdf")):
        picture = io.BytesIO()
        figure.savefig(picture, format=target.suffix[1:], dpi=150)
        with replacing(target) as file:
            file.write(picture.getvalue())
    return [path]
