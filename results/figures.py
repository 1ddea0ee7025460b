"""A study's figures as PNG and PDF, by matplotlib: a picture has a panel for each column."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.metrics import find_metric, metric_named
from results.analysis import Result, Row
from results.curves import Band, HeatMap, colour_range, heat_maps, lines_of, sensitivity
from results.study import STATISTICS, Figure, Study, is_number, slug
from results.table import number, short

# Okabe & Ito's colours, which colour-blind readers can tell apart, then the same dashed.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
# Of heat maps, from the least value to the greatest: even steps to every kind of eye.
CELLS = "cividis"
MARKERS = ["o", "s", "^", "v", "D"]
# About how many of a line's points are marked.
MARKED = 20
# Panels side by side.
ABREAST = 3

# A column's label → a line's name → the line.
Panels = dict[str, dict[str, Band]]


def draw(result: Result) -> dict[str, bytes]:
    """Every figure of a study as PNG and PDF, by the names of their files."""
    study = result.study
    drawn: dict[str, bytes] = {}
    for name, wanted in study.figures.items():
        if wanted.is_heat_map:
            figure = plot_heat_maps(heat_maps(result, wanted), wanted, result)
        else:
            lines = labelled(lines_of(result, wanted), result)
            log_x = wanted.x != "step" and metric_named(wanted.x).log
            figure = plot(lines, wanted, result, log_x=log_x)
        drawn |= saved(figure, f"{result.name}.{name}")
    for key in study.grid:
        metric = study.select.metric
        panels = {column: {} for column in study.columns}
        for row in result.rows:
            if found := sensitivity(row, key, metric, study):
                panels[row.column][row.row] = found
        wanted = Figure(f"Sensitivity to {key}", list(study.rows), metric, x=key)
        figure = plot(panels, wanted, result, log_x=is_logarithmic(study.grid[key]))
        drawn |= saved(figure, f"{result.name}.{slug(key)}")
    return drawn


def saved(figure: Any, name: str) -> dict[str, bytes]:
    """A picture as PNG and PDF; nothing where nothing was drawn."""
    return {f"{name}.{kind}": content(figure, kind) for kind in ("png", "pdf") if figure}


def content(figure: Any, kind: str) -> bytes:
    picture = io.BytesIO()
    # Without the time, so that the same picture is the same file.
    about = {"CreationDate": None} if kind == "pdf" else None
    figure.savefig(picture, format=kind, dpi=150, metadata=about)
    return picture.getvalue()


def averaged(result: Result, metric: str, bands: Sequence[Band], over_steps: bool) -> str:
    """What the lines and their shade are, for example "mean ± standard deviation of 3 seeds".

    Values at the end are there for each trial, those of a curve are means over a run's trials.
    """
    count, trials = max(band.seeds for band in bands), result.trials(metric)
    if count == 1:
        return "one seed" if trials == 1 else f"mean of {trials} trials"
    if not over_steps and trials > 1:
        return f"{spread_name(result.study)} of {count} trials"
    each = f", each the mean of {trials} trials" if trials > 1 else ""
    return f"{spread_name(result.study)} of {count} seeds{each}"


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


def plot(panels: Panels, wanted: Figure, result: Result, *, log_x: bool) -> Any:
    """Draw one picture; None where there is nothing to draw."""
    panels = {column: bands for column, bands in panels.items() if bands}
    if not panels:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    across = min(len(panels), ABREAST)
    down = math.ceil(len(panels) / across)
    size = (8.4, 4.2) if len(panels) == 1 else (4.4 * across, 3.4 * down + 0.4)
    figure = Drawing(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (column, bands) in zip(grid.flat, panels.items(), strict=False):
        draw_lines(axes, bands)
        known = find_metric(wanted.x)
        axes.set_xlabel(plain(known.label if known else wanted.x))
        axes.set_ylabel(wanted.label)
        if wanted.log:
            axes.set_yscale("log")
        if log_x:
            axes.set_xscale("log")
        axes.grid(alpha=0.3)
        if len(panels) > 1 or wanted.normalised:
            axes.set_title(plain(column), fontsize=9)
        if len(panels) > 1:
            axes.legend(fontsize=6)
    if len(panels) == 1:
        figure.legend(loc="outside right upper", fontsize=8)
    lines = [band for bands in panels.values() for band in bands.values()]
    of_what = averaged(result, wanted.metric, lines, over_steps=wanted.x not in result.study.grid)
    made = f"{result.study.name}, {result.made_with}, {of_what}"
    figure.suptitle(plain(f"{wanted.title}\n{made}"), fontsize=9)
    return figure


def plot_heat_maps(panels: dict[str, HeatMap], wanted: Figure, result: Result) -> Any:
    """Draw one picture, in one scale of colours; None where there is nothing to draw."""
    if not panels:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure as Drawing

    shade = metric_named(wanted.shade)
    scale = LogNorm if shade.log else Normalize
    norm = scale(*colour_range(panels.values(), shade.log))
    across = min(len(panels), ABREAST)
    down = math.ceil(len(panels) / across)
    figure = Drawing(figsize=(5.6 * across, 4.4 * down + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        draw_cells(axes, panel, norm)
        axes.set_title(plain(name), fontsize=9)
        axes.set_xlabel(plain(wanted.x))
        axes.set_ylabel(plain(wanted.y or ""))
    colours = ScalarMappable(norm, CELLS)
    figure.colorbar(colours, ax=list(grid.flat[: len(panels)]), label=f"colour: {shade.label}")
    label = metric_named(wanted.metric).label
    said = f"{label}. nan: diverged, *: some seeds did" if wanted.y else ""
    made = f"{result.study.name}, {result.made_with}"
    lines = [line for line in (wanted.title, said, made) if line]
    figure.suptitle(plain("\n".join(lines)), fontsize=9)
    return figure


def draw_cells(axes: Any, panel: HeatMap, norm: Any) -> None:
    values = np.array(panel.colours, dtype=float)
    axes.set_facecolor("#d0d0d0")
    axes.imshow(values, cmap=CELLS, norm=norm, aspect="auto")
    axes.set_xticks(range(len(panel.x)), [*map(plain, panel.x)], fontsize=7)
    axes.set_yticks(range(len(panel.y)), [*map(plain, panel.y)], fontsize=7)
    dark = np.ma.filled(norm(values), 1) <= 0.5
    for line, place in np.ndindex(values.shape):
        axes.text(
            place,
            line,
            panel.texts[line][place],
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark[line, place] else "black",
        )


def draw_lines(axes: Any, bands: dict[str, Band]) -> None:
    for index, (name, drawn) in enumerate(bands.items()):
        colour = COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        mean, low, high = (np.array(v, dtype=float) for v in (drawn.mean, drawn.low, drawn.high))
        x = [plain(place) if isinstance(place, str) else place for place in drawn.x]
        axes.plot(
            x,
            mean,
            style,
            color=colour,
            # A label that begins with a line is left out of legends.
            label=plain(f" {name}" if name.startswith("_") else name),
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            markevery=max(1, len(mean) // MARKED),
        )
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
