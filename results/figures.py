"""A study's figures as PNG and PDF, by matplotlib: a picture has a panel for each column."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.metrics import find_metric, metric_named
from results.analysis import Result, Row
from results.bands import Band
from results.curves import HeatMap, colour_range, heat_maps, lines_of, sensitivity
from results.smoothing import remark
from results.study import STATISTICS, Figure, Study, is_number, slug
from results.table import number, short

# Okabe & Ito's colours, which colour-blind readers can tell apart, then the same dashed.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
# Of heat maps: equal steps of a value look equal, to colour-blind readers, too.
COLOUR_MAP = "cividis"
MARKERS = ["o", "s", "^", "v", "D"]
# About how many points of a line have a marker.
MARKED_POINTS = 20
# At most so many points of a line are drawn: more than a picture has dots across.
DRAWN_POINTS = 2000
# At most so many panels side by side.
PANELS_ACROSS = 3

# A column's label → a line's name → the line.
Panels = dict[str, dict[str, Band]]


def draw(result: Result) -> dict[str, bytes]:
    """Every figure of a study as PNG and PDF, by the names of their files."""
    study = result.study
    drawn: dict[str, bytes] = {}
    for name, figure in study.figures.items():
        if figure.is_heat_map:
            drawing = plot_heat_maps(heat_maps(result, figure), figure, result)
        else:
            lines = lines_of(result, figure)
            # Of a key of the grid a line has all values, and not the best.
            if figure.x not in study.keys and figure.lines is None:
                lines = labelled(lines, result)
            log_x = has_log_x(figure, study)
            drawing = plot(lines, figure, result, log_x=log_x)
        drawn |= saved(drawing, f"{result.name}.{name}")
    for key in study.keys:
        metric = study.select.metric
        panels = {column: {} for column in study.columns}
        for row in result.rows:
            if band := sensitivity(row, key, metric, study):
                panels[row.column][row.row] = band
        figure = Figure(f"Sensitivity to {key}", list(study.rows), metric, x=key)
        drawing = plot(panels, figure, result, log_x=is_logarithmic(study.tried(key)))
        drawn |= saved(drawing, f"{result.name}.{slug(key)}")
    return drawn


def has_log_x(figure: Figure, study: Study) -> bool:
    if figure.x in study.keys:
        return is_logarithmic(study.tried(figure.x))
    return figure.x != "step" and metric_named(figure.x).log


def saved(drawing: Any, name: str) -> dict[str, bytes]:
    """A picture as PNG and PDF; nothing where nothing was drawn."""
    return {f"{name}.{kind}": content(drawing, kind) for kind in ("png", "pdf") if drawing}


def content(drawing: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    # Without the time, so that the same picture is the same file.
    metadata = {"CreationDate": None} if kind == "pdf" else None
    drawing.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()


def averaged(result: Result, metric: str, bands: Sequence[Band], over_steps: bool) -> str:
    """What the lines and their shade are, for example "mean ± standard deviation of 3 seeds".

    At the end of a run each trial has a value; a learning curve has the means over a run's trials.
    """
    count, trials = max(band.seeds for band in bands), result.trials(metric)
    if count == 1:
        return "one seed" if trials == 1 else f"mean of {trials} trials"
    if not over_steps and trials > 1:
        return f"{spread_name(result.study)} of {count} trials"
    each = f", each the mean of {trials} trials" if trials > 1 else ""
    return f"{spread_name(result.study)} of {count} seeds{each}"


def resampled(bands: Sequence[Band]) -> str:
    """What the lines of an interquartile mean and their shade are."""
    count = max(band.seeds for band in bands)
    if all(bound is None for band in bands for bound in band.low):
        return f"interquartile mean of {'one seed' if count == 1 else f'{count} seeds'}"
    return f"interquartile mean and its 95% interval, by a bootstrap over {count} seeds"


def spread_name(study: Study) -> str:
    return STATISTICS["mean" if study.statistic == "mean" else "mean_se"]


def labelled(panels: Panels, result: Result) -> Panels:
    """The lines by the names that a legend gives them, with the best values of a row's grid."""
    names = {(row.column, row.row): label(row) for row in result.rows if row.best}
    return {
        column: {names.get((column, row), row): line for row, line in lines.items()}
        for column, lines in panels.items()
    }


def label(row: Row) -> str:
    assert row.best is not None
    values = ", ".join(f"{short(key)} {number(v)}" for key, v in row.best.values.items())
    return f"{row.row} ({values})" if values else row.row


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands: between two dollars it would read mathematics."""
    return text.replace("$", r"\$")


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether values that are tried span more than one order of magnitude."""
    return all(is_number(v) and v > 0 for v in values) and max(values) > 10 * min(values)


def plot(panels: Panels, figure: Figure, result: Result, *, log_x: bool) -> Any:
    """Draw one picture; None where there is nothing to draw."""
    panels = {column: bands for column, bands in panels.items() if bands}
    if not panels:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    panels_across = min(len(panels), PANELS_ACROSS)
    if figure.lines and 1 < len(figure.rows) <= PANELS_ACROSS:
        panels_across = min(len(panels), len(figure.rows))  # the rows side by side
    panels_down = math.ceil(len(panels) / panels_across)
    figsize = (8.4, 4.2) if len(panels) == 1 else (4.4 * panels_across, 3.4 * panels_down + 0.4)
    drawing = Drawing(figsize=figsize, layout="constrained")
    FigureCanvasAgg(drawing)
    subplots = drawing.subplots(panels_down, panels_across, squeeze=False)
    for axes in subplots.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (column, bands) in zip(subplots.flat, panels.items(), strict=False):
        draw_lines(axes, bands)
        x_metric = find_metric(figure.x)
        axes.set_xlabel(plain(x_metric.label if x_metric else figure.x))
        axes.set_ylabel(figure.label)
        if figure.log:
            axes.set_yscale("log")
        if log_x:
            axes.set_xscale("log")
        axes.grid(alpha=0.3)
        if len(panels) > 1 or figure.normalised or figure.lines:
            crossed = any(band.missed for band in bands.values())
            axes.set_title(plain(column), fontsize=9, pad=24 if crossed else None)
        if len(panels) > 1:
            axes.legend(fontsize=6)
    if len(panels) == 1:
        drawing.legend(loc="outside right upper", fontsize=8)
    all_bands = [band for bands in panels.values() for band in bands.values()]
    over_steps = figure.x not in result.study.keys
    if figure.interquartile:
        statistic = resampled(all_bands)
    else:
        statistic = averaged(result, figure.metric, all_bands, over_steps)
    made_with = f"{result.study.name}, {result.made_with}, {statistic}"
    missed = any(band.missed for band in all_bands)
    legends = [
        "×: not all trials got there within the budget" if missed else "",
        "lines end where runs diverge" if figure.lines else "",
        remark(figure, result.records),
    ]
    lines = [line for line in (figure.title, *legends, made_with) if line]
    drawing.suptitle(plain("\n".join(lines)), fontsize=9)
    return drawing


def plot_heat_maps(panels: dict[str, HeatMap], figure: Figure, result: Result) -> Any:
    """Draw one picture, in one scale of colours; None where there is nothing to draw."""
    if not panels:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure as Drawing

    shade = metric_named(figure.shade)
    scale = LogNorm if shade.log else Normalize
    norm = scale(*colour_range(panels.values(), shade.log))
    panels_across = min(len(panels), PANELS_ACROSS)
    panels_down = math.ceil(len(panels) / panels_across)
    drawing = Drawing(figsize=(5.6 * panels_across, 4.4 * panels_down + 0.4), layout="constrained")
    FigureCanvasAgg(drawing)
    subplots = drawing.subplots(panels_down, panels_across, squeeze=False)
    for axes in subplots.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, panel) in zip(subplots.flat, panels.items(), strict=False):
        draw_heat_map(axes, panel, norm)
        axes.set_title(plain(name), fontsize=9)
        axes.set_xlabel(plain(figure.x))
        axes.set_ylabel(plain(figure.y or ""))
    colours = ScalarMappable(norm, COLOUR_MAP)
    drawing.colorbar(colours, ax=list(subplots.flat[: len(panels)]), label=f"colour: {shade.label}")
    label = metric_named(figure.metric).label
    legend = f"{label}. nan: diverged, *: some seeds did" if figure.y else ""
    made_with = f"{result.study.name}, {result.made_with}"
    lines = [line for line in (figure.title, legend, made_with) if line]
    drawing.suptitle(plain("\n".join(lines)), fontsize=9)
    return drawing


def draw_heat_map(axes: Any, panel: HeatMap, norm: Any) -> None:
    values = np.array(panel.colours, dtype=float)
    axes.set_facecolor("#d0d0d0")
    axes.imshow(values, cmap=COLOUR_MAP, norm=norm, aspect="auto")
    axes.set_xticks(range(len(panel.x)), [*map(plain, panel.x)], fontsize=7)
    axes.set_yticks(range(len(panel.y)), [*map(plain, panel.y)], fontsize=7)
    dark = np.ma.filled(norm(values), 1) <= 0.5
    for y, x in np.ndindex(values.shape):
        axes.text(
            x,
            y,
            panel.texts[y][x],
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark[y, x] else "black",
        )


def draw_lines(axes: Any, bands: dict[str, Band]) -> None:
    for index, (name, band) in enumerate(bands.items()):
        colour = COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        last = len(band.x) - 1
        drawn = np.linspace(0, last, min(last + 1, DRAWN_POINTS)).round().astype(int)
        mean, low, high = (
            np.array(v, dtype=float)[drawn] for v in (band.mean, band.low, band.high)
        )
        xs = [plain(x) if isinstance(x, str) else x for x in map(band.x.__getitem__, drawn)]
        axes.plot(
            xs,
            mean,
            style,
            color=colour,
            # A label that begins with a line is left out of legends.
            label=plain(f" {name}" if name.startswith("_") else name),
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            markevery=max(1, len(mean) // MARKED_POINTS),
        )
        axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
        if band.missed:
            # Above the plot: wherever one is put in it, it has a value there.
            missed = [plain(x) if isinstance(x, str) else x for x in band.missed]
            height = [1.02 + 0.03 * index] * len(missed)
            place = {"transform": axes.get_xaxis_transform(), "clip_on": False}
            axes.plot(missed, height, "x", color=colour, markersize=4, **place)
