"""How optimizers look: a colour, a marker and a dash for each, the same in all figures and pages.

A row of a study is drawn as its optimizer is. Where several rows have the same one, what sets them
apart, such as "betas=[0.9,0.7]", changes shade, dash and marker in a way of its own, the same for
all optimizers.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from engine.texts import hydra_text

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """How a line is drawn.

    Attributes:
        light, dark: the colour on a light and on a dark ground, as "#rrggbb".
        marker: a key of `MARKERS`, which is its name in Plotly, or that with "-open" behind it.
        dash: a key of `DASHES`, which is its name in Plotly and SVG.
    """

    light: str
    dark: str
    marker: str
    dash: str


# Okabe & Ito's colours, which colour-blind readers can tell apart, and some between them; on a dark
# ground they are lighter.
HUES = {
    "blue": ("#0072b2", "#3d9be0"),
    "vermillion": ("#d55e00", "#f07c3c"),
    "green": ("#009e73", "#23b98c"),
    "pink": ("#cc79a7", "#e0a0c4"),
    "orange": ("#e69f00", "#f2bd42"),
    "sky": ("#56b4e9", "#94d3f7"),
    "ink": ("#1d2126", "#e6e8eb"),
    "wine": ("#882255", "#c9618f"),
    "brown": ("#8c510a", "#c08a4a"),
    "grey": ("#7a7f87", "#a0a9b4"),
    "pale teal": ("#88c9c0", "#c5ebe5"),
    "teal": ("#44aa99", "#7dd3c4"),
    "indigo": ("#9088e0", "#b3adf5"),
    "deep indigo": ("#332288", "#7465e8"),
}

# As matplotlib writes them.
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "pentagon": "p",
    "hexagon": "h",
    "star": "*",
    "cross": "P",
    "x": "X",
}
DASHES = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1, 1.5)),
    "dashdot": (0, (5, 1.5, 1, 1.5)),
}

# By an optimizer's name, or with one of its settings, which then comes first. L^p Adam goes from
# green to violet as p grows, through Adam, p = 2; AdaMax is its limit.
LOOKS = {
    name: Look(*HUES[hue], marker, dash)
    for name, (hue, marker, dash) in {
        "adam": ("blue", "circle", "solid"),
        "adamw": ("sky", "square", "solid"),
        "amsgrad": ("green", "triangle-up", "solid"),
        "amsgrad_traced": ("green", "triangle-up", "dot"),
        "adamax": ("ink", "triangle-down", "solid"),
        "nadam": ("blue", "triangle-right", "dash"),
        "radam": ("sky", "triangle-left", "dash"),
        "lp_adam": ("indigo", "hexagon", "solid"),
        "lp_adam p=1": ("pale teal", "triangle-left", "solid"),
        "lp_adam p=1.2": ("teal", "triangle-right", "solid"),
        "lp_adam p=1.5": ("sky", "pentagon", "solid"),
        "lp_adam p=2": ("blue", "circle", "solid"),
        "lp_adam p=3": ("indigo", "diamond", "solid"),
        "lp_adam p=6": ("deep indigo", "star", "solid"),
        "lp_adagrad": ("brown", "hexagon", "dot"),
        "laprop": ("vermillion", "square", "solid"),
        "laprop_centered": ("vermillion", "square", "dot"),
        "adamal": ("wine", "pentagon", "solid"),
        "amsprop": ("green", "diamond", "dash"),
        "padam": ("orange", "star", "solid"),
        "madam": ("pink", "diamond", "solid"),
        "lamadam": ("brown", "diamond", "solid"),
        "sgd": ("grey", "cross", "solid"),
        "sign_sgdm": ("grey", "triangle-left", "dash"),
        "signum": ("grey", "x", "dot"),
        "adabelief": ("orange", "square", "dash"),
        "adabound": ("brown", "triangle-right", "dash"),
        "yogi": ("pink", "x", "dash"),
        "adafactor": ("grey", "pentagon", "dash"),
        "adan": ("sky", "diamond", "dot"),
        "ademamix": ("blue", "pentagon", "dot"),
        "lion": ("green", "star", "dash"),
        "mars": ("orange", "pentagon", "dot"),
        "muon": ("vermillion", "star", "dash"),
        "prodigy": ("ink", "star", "dash"),
        "schedule_free_adamw": ("sky", "star", "dashdot"),
        "shampoo": ("wine", "triangle-up", "dot"),
        "soap": ("wine", "square", "dash"),
    }.items()
}

# Of optimizers that have no look of their own: none of the above.
OTHERS = [
    Look(*HUES[hue], marker, "dashdot")
    for marker in ("hexagon", "cross", "triangle-down")
    for hue in ("vermillion", "blue", "green", "pink", "orange", "ink", "wine", "brown")
]

# What changes in a look of a row that others share: how far to black (-1) or white (1), the dash,
# and whether markers are open.
VARIATIONS = [
    (0.0, "solid", False),
    (-0.45, "dash", True),
    (0.35, "dot", False),
    (0.0, "dashdot", True),
    (-0.45, "solid", False),
    (0.35, "dash", True),
    (0.0, "dot", False),
    (0.35, "solid", True),
    (-0.45, "dashdot", False),
    (0.0, "dash", True),
    (-0.45, "dot", True),
    (0.35, "dashdot", False),
    (0.0, "solid", True),
]


def looks(rows: Mapping[str, Settings]) -> dict[str, Look]:
    """How to draw rows, by their labels: no two alike while there are looks left.

    Args:
        rows: label → settings, `optim` among them, with or without "optim." before the others; of
            all rows that may be drawn together, so that a row looks the same in each figure.
    """
    bases = {label: base_of(label, settings) for label, settings in rows.items()}
    varied = {label: variation_of(label, rows, bases) for label in rows}
    found: dict[str, Look] = {}
    # Those that stay as their optimizer is come first; the order of the rows does not matter.
    for label in sorted(rows, key=lambda label: (bool(varied[label]), label)):
        own = LOOKS.get(bases[label])
        taken = {*found.values(), *(look for look in LOOKS.values() if look != own)}
        candidates = list(candidates_of(bases[label], varied[label]))
        found[label] = next((look for look in candidates if look not in taken), candidates[0])
    return {label: found[label] for label in rows}


def base_of(label: str, settings: Settings) -> str:
    """The key of `LOOKS` that a row has, or the name of an optimizer that is not there.

    A label in print goes before the optimizer's name: MAdam with equal betas is written "Adam".
    """
    optim = str(settings.get("optim", ""))
    valued = (f"{optim} {key.removeprefix('optim.')}={value}" for key, value in settings.items())
    named = re.match(r"\w*", label).group().casefold()  # pyright: ignore[reportOptionalMemberAccess]
    return next((name for name in [*valued, named, optim] if name in LOOKS), optim)


def variation_of(label: str, rows: Mapping[str, Settings], bases: Mapping[str, str]) -> str:
    """What sets a row apart from the others of its optimizer; nothing of one that is just it."""
    group = [rows[other] for other in rows if bases[other] == bases[label]]
    if label.casefold() in LOOKS or len(group) == 1:
        return ""
    texts = [
        {key: hydra_text(value) for key, value in settings.items() if not isinstance(value, dict)}
        for settings in group
    ]
    own = {key: value for key, value in rows[label].items() if not isinstance(value, dict)}
    varying = [key for key in own if len({text.get(key) for text in texts}) > 1]
    return " ".join(f"{key}={hydra_text(own[key])}" for key in varying)


def candidates_of(base: str, variation: str) -> Iterator[Look]:
    """The look of a row, then those that it has where it is taken."""
    own = LOOKS.get(base)
    first = place(base, OTHERS)
    starts = [own] if own else [*OTHERS[first:], *OTHERS[:first]]
    begin = 1 + place(variation, VARIATIONS[1:]) if variation else 0
    for start in starts:
        order = [*VARIATIONS[begin:], *VARIATIONS[1:begin], *VARIATIONS[:1]]
        yield from (start if v is VARIATIONS[0] else varied(start, *v) for v in order)


def place(name: str, among: list[Any]) -> int:
    """One that is the same on every machine."""
    return crc32(name.encode()) % len(among)


def varied(look: Look, shade: float, dash: str, is_open: bool) -> Look:
    light, dark = mixed(look.light, shade), mixed(look.dark, shade)
    return Look(light, dark, f"{look.marker}{'-open' if is_open else ''}", dash)


def mixed(colour: str, shade: float) -> str:
    """A colour, mixed with black where the shade is below 0 and with white above it."""
    end = 255 if shade > 0 else 0
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (end - part) * abs(shade)):02x}" for part in parts)


def ramp(count: int) -> list[Look]:
    """How to draw the values of a key of the grid, in their order: from dark to bright."""
    steps = [i / max(count - 1, 1) for i in range(count)]
    markers = list(MARKERS)
    return [
        Look(blend(RAMP_LIGHT, step), blend(RAMP_DARK, step), markers[i % len(markers)], "solid")
        for i, step in enumerate(steps)
    ]


# Ends and middle of a scale whose lightness grows evenly, for colour-blind readers, too.
RAMP_LIGHT = ("#332288", "#0e8e8e", "#d8b000")
RAMP_DARK = ("#7d6ff0", "#2fc4b2", "#ffe066")


def blend(stops: tuple[str, ...], at: float) -> str:
    """The colour at a place from 0 to 1 of a scale."""
    where = at * (len(stops) - 1)
    below = min(int(where), len(stops) - 2)
    pairs = [
        (int(stops[below][i : i + 2], 16), int(stops[below + 1][i : i + 2], 16)) for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{round(a + (b - a) * (where - below)):02x}" for a, b in pairs)
