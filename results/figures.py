"""A study's figures as PNG and PDF, by matplotlib: a picture has a panel for each column."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.metrics import find_metric, metric_named
from results.analysis import Result, Row
from results.bands import Band, on_log_axis
from results.curves import heat_maps, lines_of, sensitivity
from results.drawing import (
    add_caption,
    add_legend,
    blank,
    line_style,
    saved,
    set_ticks,
    set_value_ticks,
    styled,
    wrap_label,
)
from results.heat_maps import plot_heat_maps
from results.smoothing import remark
from results.study import STATISTICS, Figure, Study, is_number, slug
from results.style import Look, looks, ramp
from results.symbols import brief_label, key_label, typeset, written

# About how many points of a line have a marker.
MARKED_POINTS = 8
# At most so many points of a line are drawn: more than a picture has dots across.
DRAWN_POINTS = 2000
# At most so many panels side by side, and how high one of them is, in inches.
PANELS_ACROSS, HEIGHT = 3, 1.9
# What stands over a plot where a value has no place in it, and what it says.
LOST = {
    "diverged": ("x", "all seeds diverged"),
    "missed": ("^", "not all trials got there within the budget"),
}

# A column's label → a line's name → the line.
Panels = dict[str, dict[str, Band]]


def draw(result: Result, camera_ready: bool = False) -> dict[str, bytes]:
    """Every figure of a study as PNG and PDF, by the names of their files.

    Args:
        result: what the study's table says.
        camera_ready: without what a paper says in its caption: title, statistic, provenance.
    """
    with styled():
        drawings = pictures(result, camera_ready).items()
        files = (saved(drawing, f"{result.name}.{name}") for name, drawing in drawings)
        return {name: content for pair in files for name, content in pair.items()}


def pictures(result: Result, camera_ready: bool = False) -> dict[str, Any]:
    """The same as matplotlib has them, by the last parts of their names."""
    drawn: dict[str, Any] = {}
    for name, figure in result.study.figures.items():
        if figure.is_heat_map:
            panels = heat_maps(result, figure)
            drawn[name] = plot_heat_maps(panels, figure, result, camera_ready=camera_ready)
        else:
            lines = lines_of(result, figure)
            drawn[name] = plot(lines, figure, result, camera_ready=camera_ready)
    for key in result.study.keys:
        panels, figure = sensitivities(result, key)
        drawn[slug(key)] = plot(panels, figure, result, camera_ready=camera_ready)
    return {name: drawing for name, drawing in drawn.items() if drawing}


def sensitivities(result: Result, key: str) -> tuple[Panels, Figure]:
    """The metric by which a study chooses, over a key of its grid."""
    study = result.study
    panels: Panels = {column: {} for column in study.columns}
    for row in result.rows:
        if band := sensitivity(row, key, study.select.metric, study):
            panels[row.column][row.row] = band
    title = f"Sensitivity to {key_label(key, study.paper)}"
    return panels, Figure(title, list(study.rows), study.select.metric, x=key)


def has_log_x(figure: Figure, study: Study) -> bool:
    if figure.x in study.keys:
        return is_logarithmic(study.tried(figure.x))
    return figure.x != "step" and metric_named(figure.x).log


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether values that are tried span more than one order of magnitude."""
    return all(is_number(v) and v > 0 for v in values) and max(values) > 10 * min(values)


# -- what a picture says ---------------------------------------------------------------------------


def averaged(
    result: Result, metric: str, bands: Sequence[Band], over_steps: bool, log: bool = False
) -> str:
    """What the lines and their shade are, for example "mean ± standard deviation of 3 seeds".

    At the end of a run each trial has a value; a learning curve has the means over a run's trials.
    """
    count, trials = max(band.seeds for band in bands), result.trials(metric)
    if count == 1:
        return "one seed" if trials == 1 else f"mean of {trials} trials"
    spread = STATISTICS["mean" if result.study.statistic == "mean" else "mean_se"]
    if log:
        spread = spread.replace("± standard", "×/÷ geometric standard")
    if not over_steps and trials > 1:
        return f"{spread} of {count} trials"
    each = f", each the mean of {trials} trials" if trials > 1 else ""
    return f"{spread} of {count} seeds{each}"


def resampled(bands: Sequence[Band]) -> str:
    """What the lines of an interquartile mean and their shade are."""
    count = max(band.seeds for band in bands)
    if all(bound is None for band in bands for bound in band.low):
        return f"interquartile mean of {'one seed' if count == 1 else f'{count} seeds'}"
    return f"interquartile mean and its 95% interval, by a bootstrap over {count} seeds"


def caption(figure: Figure, result: Result, bands: Sequence[Band]) -> list[str]:
    over_steps = figure.x not in result.study.keys
    if figure.interquartile:
        statistic = resampled(bands)
    else:
        statistic = averaged(result, figure.metric, bands, over_steps, figure.log)
    return [
        figure.title,
        *(["Lines end where runs diverge."] if figure.lines else []),
        *filter(None, [remark(figure, result.records)]),
        f"{result.study.name}, {result.made_with}, {statistic}",
    ]


def names_of(panels: Panels, figure: Figure, result: Result) -> dict[str, str]:
    """Line → its name in the legend, with the best values of a row's grid where they are one."""
    names = {line: line for lines in panels.values() for line in lines}
    # Of a key of the grid a line has all values, and not the best.
    if figure.x in result.study.keys or figure.lines is not None or len(panels) > 1:
        return names
    [column] = panels
    rows = [row for row in result.rows if row.best and row.column == column]
    return names | {row.row: label(row, result.study) for row in rows if row.row in names}


def label(row: Row, study: Study) -> str:
    assert row.best is not None
    pairs = row.best.values.items()
    values = ", ".join(f"{brief_label(key, study.paper)} {written(v)}" for key, v in pairs)
    return f"{row.row} ({values})" if values else row.row


def looks_of(names: Iterable[str], figure: Figure, study: Study) -> dict[str, Look]:
    """How each line is drawn: as the row's optimizer, or in the order of a key's values."""
    names = list(names)
    if figure.lines is not None:
        return dict(zip(names, ramp(len(names)), strict=True))
    return looks(study.rows)


# -- lines -----------------------------------------------------------------------------------------


def plot(panels: Panels, figure: Figure, result: Result, *, camera_ready: bool = False) -> Any:
    """Draw one picture; None where there is nothing to draw."""
    study = result.study
    panels = {column: bands for column, bands in panels.items() if bands}
    if not panels:
        return None
    if figure.log:
        panels = {
            column: {name: on_log_axis(band, study.statistic) for name, band in bands.items()}
            for column, bands in panels.items()
        }
    across = min(len(panels), PANELS_ACROSS)
    if figure.lines and 1 < len(figure.rows) <= PANELS_ACROSS:
        across = min(len(panels), len(figure.rows))  # the rows side by side
    drawing, subplots = blank(len(panels), across, HEIGHT + 0.3 * (len(panels) == 1))
    names = names_of(panels, figure, result)
    found = looks_of(names, figure, study)
    handles: dict[str, Any] = {}
    for axes, (column, bands) in zip(subplots, panels.items(), strict=True):
        lines = draw_lines(axes, bands, found)
        handles |= {names[name]: line for name, line in lines.items()}
        xs = {x for band in bands.values() for x in band.x}
        label_axes(axes, figure, study, xs, first=axes in subplots[::across])
        lanes = draw_lost(axes, bands, found)
        if len(panels) > 1 or figure.normalised or figure.lines:
            axes.set_title(typeset(column), pad=4 + 5.5 * lanes)
        elif lanes:
            axes.set_title(" ", pad=5.5 * lanes)
    add_legend(drawing, {name: handles[name] for name in names.values()} | lost_handles(panels))
    if not camera_ready:
        add_caption(drawing, caption(figure, result, [*all_bands(panels)]))
    return drawing


def all_bands(panels: Panels) -> Iterable[Band]:
    return (band for bands in panels.values() for band in bands.values())


def label_axes(axes: Any, figure: Figure, study: Study, xs: set[Any], first: bool) -> None:
    """Name both axes, the second one on the left of a row of panels, and set their ticks."""
    over_grid, log_x = figure.x in study.keys, has_log_x(figure, study)
    if log_x:
        axes.set_xscale("log")
    if figure.log:
        axes.set_yscale("log")
    x_metric = find_metric(figure.x)
    x_label = x_metric.label if x_metric else key_label(figure.x, study.paper)
    axes.set_xlabel(typeset("optimizer step" if figure.x == "step" else x_label))
    if first:
        axes.set_ylabel(wrap_label(figure.label, HEIGHT))
    axes.grid(True)
    if not over_grid:
        start_at_zero(axes, log_x)
        set_ticks(axes.xaxis, log_x)
    elif all(map(is_number, xs)):
        width, _ = axes.figure.get_size_inches()
        set_value_ticks(axes.xaxis, sorted(xs), log_x, axes.get_position().width * width)
    set_ticks(axes.yaxis, figure.log)


def start_at_zero(axes: Any, log_x: bool) -> None:
    """Where lines go on from left to right, such as over steps, their axis begins at 0."""
    xs = [np.asarray(line.get_xdata(), dtype=float) for line in axes.lines]
    if not log_x and all((x >= 0).all() and (np.diff(x) >= 0).all() for x in xs):
        axes.set_xlim(left=0)


def draw_lines(axes: Any, bands: Mapping[str, Band], found: Mapping[str, Look]) -> dict[str, Any]:
    """The lines by their names."""
    lines = {}
    for index, (name, band) in enumerate(bands.items()):
        look = found[name]
        last = len(band.x) - 1
        drawn = np.linspace(0, last, min(last + 1, DRAWN_POINTS)).round().astype(int)
        mean, low, high = (
            np.array(v, dtype=float)[drawn] for v in (band.mean, band.low, band.high)
        )
        xs = places(map(band.x.__getitem__, drawn))
        every = max(1, len(mean) // MARKED_POINTS)
        # Not all at the same places, where lines that are alike would hide each other's.
        marked = (index * every // max(len(bands), 1), every)
        [lines[name]] = axes.plot(xs, mean, markevery=marked, **line_style(look))
        axes.fill_between(xs, low, high, color=look.light, alpha=0.15, linewidth=0)
    return lines


def places(values: Iterable[Any]) -> list[Any]:
    """Values as places on an axis: numbers, or text."""
    return [typeset(x) if isinstance(x, str) else x for x in values]


def draw_lost(axes: Any, bands: Mapping[str, Band], found: Mapping[str, Look]) -> int:
    """Marks over the plot, in lanes, where there is no value; return how many lanes there are."""
    lost = [name for name, band in bands.items() if band.missed or band.diverged]
    for lane, name in enumerate(lost):
        marks = [(marker, getattr(bands[name], kind)) for kind, (marker, _) in LOST.items()]
        for marker, xs in ((marker, places(lost_xs)) for marker, lost_xs in marks if lost_xs):
            # Above the plot: wherever one is put in it, it has a value there.
            axes.plot(
                xs,
                [1.03 + 0.05 * lane] * len(xs),
                marker,
                **lost_style(found[name].light),
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                in_layout=False,
            )
    return len(lost)


def lost_style(colour: str) -> dict[str, Any]:
    return {"color": colour, "markersize": 3.2, "markerfacecolor": "none", "linestyle": "none"}


def lost_handles(panels: Panels) -> dict[str, Any]:
    """What the marks over the plots say, for the legend."""
    from matplotlib.lines import Line2D

    return {
        text: Line2D([], [], marker=marker, **lost_style("#404040"))
        for kind, (marker, text) in LOST.items()
        if any(getattr(band, kind) for band in all_bands(panels))
    }
