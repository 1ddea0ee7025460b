"""A picture for a paper's column: its size, its one legend, its ticks, its caption, its files."""

import io
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from results.style import DASHES, MARKERS, Look
from results.symbols import typeset, written

# The widths of a paper's columns, in inches: one of two, and both with what is between them.
SINGLE, DOUBLE = 3.35, 6.9
# Of a page's ground, which is white.
RC: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "figure.titlesize": 6.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    # Letters as TrueType, which publishers ask for: Type 3, the default, is refused by many.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
}
DPI = 220
# About the width of a letter of a legend, and of what else an entry of it has, in inches.
LETTER, HANDLE = 0.052, 0.5
# The least distance of a tick from the next, in inches.
TICK = 0.24
# Where a PNG says what is drawn in it.
PLOTTED = "plotted"


@contextmanager
def styled() -> Iterator[None]:
    """Within it, pictures are drawn and saved in the style of this project."""
    from matplotlib import rc_context

    with rc_context(RC):
        yield


def blank(count: int, across: int, height: float, width: float | None = None) -> tuple[Any, Any]:
    """A picture with as many panels, and these, `across` of them side by side.

    Args:
        count: of panels.
        across: side by side.
        height: of a panel, in inches.
        width: of the picture; else that of one of a paper's columns, or of both where there are
            several panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    down = math.ceil(count / across)
    width = width or (SINGLE if count == 1 else DOUBLE)
    drawing = Drawing(figsize=(width, height * down), layout="constrained")
    FigureCanvasAgg(drawing)
    subplots = drawing.subplots(down, across, squeeze=False).flat
    for axes in subplots[count:]:
        axes.set_visible(False)
    return drawing, list(subplots[:count])


def add_caption(drawing: Any, lines: Sequence[str]) -> None:
    """Say over a picture what it shows and what it was made with, which makes it higher."""
    width, height = drawing.get_size_inches()
    letters = int(width / LETTER)
    wrapped = [part for line in lines for part in textwrap.wrap(line, letters)]
    drawing.set_size_inches(width, height + 0.12 * len(wrapped))
    drawing.suptitle("\n".join(map(typeset, wrapped)))


def add_legend(drawing: Any, handles: Mapping[str, Any]) -> None:
    """The one legend of a picture, below its panels, which makes it higher."""
    if not handles:
        return
    width, height = drawing.get_size_inches()
    longest = max(map(len, handles))
    columns = min(len(handles), max(1, int(width / (LETTER * longest + HANDLE))))
    lines = math.ceil(len(handles) / columns)
    drawing.set_size_inches(width, height + 0.14 * lines)
    # A label that begins with a line is left out of legends.
    labels = [f" {label}" if label.startswith("_") else label for label in handles]
    place = {"loc": "outside lower center", "ncols": columns, "columnspacing": 1.2}
    drawing.legend(list(handles.values()), list(map(typeset, labels)), **place)


def line_style(look: Look) -> dict[str, Any]:
    """A line of a look, as matplotlib takes it."""
    name = look.marker.removesuffix("-open")
    inside = "white" if look.marker.endswith("-open") else look.light
    style: dict[str, Any] = {"linestyle": DASHES[look.dash], "marker": MARKERS[name]}
    # A star's arms are thin.
    size = {"markersize": 5} if name == "star" else {}
    return style | size | {"color": look.light, "markerfacecolor": inside}


def wrap_label(label: str, inches: float) -> str:
    """An axis' label in lines that are no longer than the axis, and about as long as each other."""
    lines = math.ceil(len(label) * LETTER * 1.1 / inches)
    return typeset("\n".join(textwrap.wrap(label, math.ceil(len(label) / lines) + 4)))


# -- ticks -----------------------------------------------------------------------------------------


def set_ticks(axis: Any, log: bool) -> None:
    """Ticks as people write them: 1e-3, 0.01, and 20k where they are evenly spaced."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    least, most = sorted(axis.get_view_interval())
    shown = written if log or most < 2e-3 else evenly_spaced if most < 1e4 else counted
    axis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    if not log:
        axis.set_major_locator(MaxNLocator(5))
        return
    axis.set_minor_formatter(NullFormatter())
    decades = math.log10(most / least) if least > 0 else math.inf
    if decades < 0.5:
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(FuncFormatter(lambda value, _: evenly_spaced(value)))
    else:
        subs = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 2.5 else (1,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=6))


def set_value_ticks(axis: Any, values: Sequence[float], log: bool, inches: float) -> None:
    """Ticks at values that were tried, as many as have a place on an axis of so many inches."""
    from matplotlib.ticker import NullLocator

    def place(value: float) -> float:
        return math.log10(value) if log else value

    span = place(max(values)) - place(min(values)) or 1.0
    shown: list[float] = []
    # Of rates such as 1e-3 and 3e-3, the powers of ten first.
    for value in sorted(values, key=lambda v: (log and place(v) != round(place(v)), -v)):
        apart = (abs(place(value) - place(other)) / span * inches for other in shown)
        if all(distance > TICK for distance in apart):
            shown.append(value)
    axis.set_ticks(sorted(shown), [written(value) for value in sorted(shown)])
    axis.set_minor_locator(NullLocator())


def evenly_spaced(value: float) -> str:
    return f"{value:.6g}"


def counted(value: float) -> str:
    """A number of steps: 500, 20k, 1.5M."""
    units = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
    unit, letter = next((pair for pair in units if abs(value) >= pair[0]), (1, ""))
    return f"{value / unit:g}{letter}"


# -- files -----------------------------------------------------------------------------------------


def saved(drawing: Any, name: str) -> dict[str, bytes]:
    """A picture as PNG and PDF, by the names of the files."""
    return {f"{name}.{kind}": content(drawing, kind) for kind in ("png", "pdf")}


def content(drawing: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    # Without the time, so that the same picture is the same file.
    metadata = {"CreationDate": None} if kind == "pdf" else {PLOTTED: json.dumps(plotted(drawing))}
    drawing.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def plotted(drawing: Any) -> list[dict[str, Any]]:
    """What a picture shows, a part for each panel, as data that another one can be held against.

    The bytes of two PNGs differ by the version of matplotlib, this does not.
    """
    return [
        {
            "title": axes.get_title(),
            "labels": [axes.get_xlabel(), axes.get_ylabel()],
            "scales": [axes.get_xscale(), axes.get_yscale()],
            "lines": [line_data(line) for line in axes.lines],
            "images": [image_data(image) for image in axes.images],
        }
        for axes in drawing.axes
        if axes.get_visible()
    ]


def line_data(line: Any) -> list[Any]:
    """A line's colour, marker and points, on which no unit of an axis has worked."""
    xs = [x if isinstance(x, str) else rounded(x) for x in line.get_xdata(orig=True)]
    return [line.get_color(), line.get_marker(), xs, [*map(rounded, line.get_ydata(orig=True))]]


def image_data(image: Any) -> list[Any]:
    """A heat map's colours: the scale, its ends, the values."""
    values = np.ma.filled(image.get_array().astype(float), np.nan)
    return [image.get_cmap().name, *map(rounded, image.get_clim()), *map(rounded, values.flat)]


def rounded(value: Any) -> float | None:
    """To five digits; None where there is no number."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None
