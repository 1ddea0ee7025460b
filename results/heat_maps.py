"""Heat maps, by matplotlib: a panel for each row and column of a study, in one scale of colours."""

from typing import Any

import numpy as np

from engine.metrics import metric_named
from results.analysis import Result
from results.curves import HeatMap, colour_range
from results.drawing import add_caption, blank, set_ticks
from results.study import Figure
from results.symbols import key_label, typeset

# Equal steps of a value look equal, to colour-blind readers, too.
COLOUR_MAP = "cividis"


def plot_heat_maps(
    panels: dict[str, HeatMap], figure: Figure, result: Result, *, camera_ready: bool = False
) -> Any:
    """Draw one picture, in one scale of colours; None where there is nothing to draw."""
    if not panels:
        return None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    shade = metric_named(figure.shade)
    norm = (LogNorm if shade.log else Normalize)(*colour_range(panels.values(), shade.log))
    down = max(len(panel.colours) for panel in panels.values())
    drawing, subplots = blank(len(panels), min(len(panels), 2), 0.6 + 0.26 * max(down, 4))
    for axes, (name, panel) in zip(subplots, panels.items(), strict=True):
        draw_heat_map(axes, panel, norm)
        axes.set_title(typeset(name))
        axes.set_xlabel(typeset(key_label(figure.x, result.study.paper)))
        axes.set_ylabel(typeset(key_label(figure.y, result.study.paper) if figure.y else ""))
    colours = drawing.colorbar(ScalarMappable(norm, COLOUR_MAP), ax=subplots)
    colours.set_label(typeset(shade.label))
    set_ticks(colours.ax.yaxis, shade.log)
    if not camera_ready:
        squares = metric_named(figure.metric).label
        legend = f"In the squares: {squares}. nan: diverged, *: some seeds did." if figure.y else ""
        made_with = f"{result.study.name}, {result.made_with}"
        add_caption(drawing, [*filter(None, [figure.title, legend]), made_with])
    return drawing


def draw_heat_map(axes: Any, panel: HeatMap, norm: Any) -> None:
    values = np.array(panel.colours, dtype=float)
    axes.set_facecolor("#d0d0d0")
    axes.imshow(values, cmap=COLOUR_MAP, norm=norm, aspect="auto")
    axes.set_xticks(range(len(panel.x)), [*map(typeset, panel.x)])
    axes.set_yticks(range(len(panel.y)), [*map(typeset, panel.y)])
    dark = np.ma.filled(norm(values), 1) <= 0.5
    for y, x in np.ndindex(values.shape):
        colour = "white" if dark[y, x] else "black"
        axes.text(x, y, panel.texts[y][x], ha="center", va="center", fontsize=5.5, color=colour)
