"""A study: one table or figure of a paper as rows, a grid, seeds and a rule to choose by."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.metrics import metric_named
from engine.texts import did_you_mean, hydra_text
from results.search import Search, quasi_random

PROFILES = ("paper", "short", "smoke")

Statistic = Literal["mean", "mean_se", "median"]
# As tables and figures name them.
STATISTICS: dict[Statistic, str] = {
    "mean": "mean ± standard deviation",
    "mean_se": "mean ± standard error",
    "median": "median ± standard error",
}

Settings = dict[str, Any]
Grid = dict[str, list[Any]]


class StudyError(ValueError):
    """A study's YAML says something that cannot be."""


@dataclass(frozen=True)
class Select:
    """The rule that chooses a row's best grid point."""

    metric: str
    at: Literal["last", "best"]
    mode: Literal["min", "max"]
    evaluations: int = 1

    @property
    def worst(self) -> bool:
        """Whether the grid point is chosen at which the method does worst."""
        return metric_named(self.metric).better not in (None, self.mode)


@dataclass(frozen=True)
class Figure:
    """One of the paper's figures: learning curves of some rows, each at its best grid point.

    A heat map has a number in each of its squares, one for each pair of values of two grid keys,
    or one for each trial of a run.

    Attributes:
        x: "step", a metric, a key of the grid, or "trial".
        y: a key of the grid, where x is one, for a heat map.
        columns: those that have a panel, all where None; not of a heat map.
        across: where x is "trial", the number of squares side by side.
        colour: the metric that colours a heat map's squares, if not `metric`.
        normalised: whether the columns are averaged, after the values of all rows in each of them
            were scaled to run from 0 to 1.
        lines: a key of the grid, for curves at all of its values, and not at the best point alone;
            then each row has a panel of its own.
        panels: another key of the grid, for a panel for each of its values.
        smooth: the standard deviation of a Gaussian that smooths curves, in `smooth_unit`.
        average: of a normalised figure: over the columns' means, or the interquartile mean over all
            their seeds, with its interval.
    """

    title: str
    rows: list[str]
    metric: str
    x: str = "step"
    y: str | None = None
    across: int | None = None
    colour: str | None = None
    normalised: bool = False
    columns: list[str] | None = None
    lines: str | None = None
    panels: str | None = None
    smooth: float | None = None
    average: Literal["mean", "interquartile mean"] = "mean"

    @property
    def interquartile(self) -> bool:
        return self.average == "interquartile mean"

    @property
    def label(self) -> str:
        """The label of the metric's axis."""
        label = metric_named(self.metric).label
        if self.smooth is not None:
            unit = self.smooth_unit.removesuffix("s") if self.smooth == 1 else self.smooth_unit
            label += f", smoothed (σ = {self.smooth:g} {unit})"
        return f"{label}, 0 to 1 in each column" if self.normalised else label

    @property
    def smooth_unit(self) -> str:
        """In which a smoothing Gaussian is measured: of a loss of each update, in updates."""
        return "updates" if self.metric == "train/loss" else "evaluations"

    @property
    def log(self) -> bool:
        """Whether that axis is logarithmic."""
        return metric_named(self.metric).log and not self.normalised

    @property
    def is_heat_map(self) -> bool:
        return self.y is not None or self.across is not None

    @property
    def shade(self) -> str:
        """The metric that a heat map's colours show."""
        return self.colour or self.metric


@dataclass(frozen=True)
class Cell:
    """One run that a study asks for.

    Attributes:
        row, column: labels.
        point: the grid's keys and the values of this run.
        seed: the run's seed.
        settings: all that the study sets in this run's config, grid and seed included.
        confirms: whether its seed is a fresh one, of a point that was chosen by others.
    """

    row: str
    column: str
    point: Settings
    seed: int
    settings: Settings
    confirms: bool = False

    @property
    def overrides(self) -> list[str]:
        """The settings as Hydra reads them."""
        return [f"{key}={hydra_text(value)}" for key, value in self.settings.items()]


@dataclass(frozen=True)
class Study:
    """What the YAML says; `results/study_file.py` explains each key."""

    name: str
    paper: str
    title: str
    reproduces: list[str]
    notes: list[str]
    columns: dict[str, Settings]
    rows: dict[str, Settings]
    grid: Grid
    seeds: int
    select: Select
    report: list[str]
    statistic: Statistic
    published: list[str]
    figures: dict[str, Figure]
    profiles: dict[str, Settings]
    search: Search = field(default_factory=Search)
    confirm: int | list[int] = 0
    reference: str | None = None
    best_seed: bool = False
    target: float | None = None
    column_notes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of its YAML in `conf/study/`: the paper's or the suite's name."""
        return self.name.partition("/")[0]

    def notes_on(self, columns: Iterable[str]) -> list[str]:
        """The notes on the whole study, then those on some of its columns, which they name."""
        on: dict[str, list[str]] = {}
        for column in columns:
            for note in self.column_notes.get(column, []):
                on.setdefault(note, []).append(column)
        return [*self.notes, *(f"{', '.join(labels)}: {note}" for note, labels in on.items())]

    def cells(self, profile: str, data: str) -> list[Cell]:
        """Every run of one profile on one data source, row by row.

        Raises:
            StudyError: the study has no such profile.
        """
        if profile not in self.profiles:
            shown = f"profile={profile}{did_you_mean(profile, self.profiles)}"
            raise StudyError(f"{shown}: study {self.name} has {', '.join(self.profiles)}")
        return [
            cell
            for column, row in self.pairs(profile)
            for point in self.points(profile, row, column)
            for cell in self.cells_of(profile, data, row, column, point)
        ]

    def cells_of(
        self, profile: str, data: str, row: str, column: str, point: Settings
    ) -> list[Cell]:
        """The runs of one point, a seed each."""
        settings, _, seeds = self.part(profile, data, row, column)
        return [
            Cell(row, column, point, seed, settings | point | {"seed": seed})
            for seed in range(seeds)
        ]

    def confirming(self, profile: str, data: str, chosen: Cell) -> list[Cell]:
        """The runs of a point that was chosen, with seeds that had no part in that."""
        settings, _, seeds = self.part(profile, data, chosen.row, chosen.column)
        fresh = self.fresh_of(profile)
        if isinstance(fresh, int):
            fresh = range(seeds, seeds + fresh)
        settings |= chosen.point
        return [
            replace(chosen, seed=seed, settings=settings | {"seed": seed}, confirms=True)
            for seed in fresh
        ]

    def fresh_of(self, profile: str) -> int | list[int]:
        """How many fresh seeds a chosen point has, or which ones."""
        return self.profiles[profile].get("confirm", self.confirm)

    def confirm_count(self, profile: str) -> int:
        """How many fresh seeds a chosen point has."""
        fresh = self.fresh_of(profile)
        return fresh if isinstance(fresh, int) else len(fresh)

    def random_of(self, profile: str) -> int:
        """How many random points stand in the place of the grid; 0 for the grid."""
        return self.search.random and self.profiles[profile].get("random", self.search.random)

    def search_of(self, profile: str) -> Search:
        """How a profile searches, which may have fewer random points."""
        return replace(self.search, random=self.random_of(profile))

    def count(self, profile: str) -> int:
        """How many cells one profile's search begins with, without making them."""
        return sum(
            seeds * (self.random_of(profile) or math.prod(map(len, grid.values())))
            for column, row in self.pairs(profile)
            for _, grid, seeds in [self.part(profile, "", row, column)]
        )

    def points(self, profile: str, row: str, column: str) -> list[Settings]:
        """The grid points of a row in a column, or the random points that all rows share."""
        settings, grid, _ = self.part(profile, "", row, column)
        if not (count := self.random_of(profile)):
            return product(grid)
        drawn = quasi_random(count, self.search.ranges)
        points = [{k: v for k, v in point.items() if k not in settings} for point in drawn]
        return points if points[0] else [{}]

    def grid_of(self, profile: str, row: str, column: str) -> Grid:
        """The values that are tried in a row of a column."""
        return self.part(profile, "", row, column)[1]

    @property
    def keys(self) -> list[str]:
        """Every key that is searched in some row, in the order in which the study names them."""
        grids = grids_of({"grid": self.grid}, self.columns, self.rows)
        return list(dict.fromkeys([*self.search.ranges, *(key for grid in grids for key in grid)]))

    def tried(self, key: str) -> list[Any]:
        """All values of a key of the grid, of whichever row."""
        pairs = itertools.product(self.rows, self.columns)
        grids = (self.part(None, "", row, column)[1] for row, column in pairs)
        values = [value for grid in grids for value in grid.get(key, [])]
        if key in self.search.ranges:
            values += [self.search.ranges[key].low, self.search.ranges[key].high]
        return list({hydra_text(value): value for value in values}.values())

    def pairs(self, profile: str) -> Iterator[tuple[str, str]]:
        """Labels of columns and of the rows that have them, a column's rows one after the other."""
        columns = self.profiles[profile].get("columns", self.columns)
        return (
            (column, row)
            for column, row in itertools.product(columns, self.rows)
            if column in self.rows[row].get("columns", self.columns)
        )

    def part(
        self, profile: str | None, data: str, row: str, column: str
    ) -> tuple[Settings, Grid, int]:
        """What all runs of a row in a column share, what is tried there, and how many seeds.

        What is said later replaces what is said before, a value a grid and a grid a value: for the
        study, the column, the row, the profile, and then for this row and this profile in this
        column. A profile thins grids that are there.
        """
        own = self.profiles[profile] if profile else {}
        own = {key: value for key, value in own.items() if key not in ("confirm", "random")}
        layers = [self.columns[column], self.rows[row], own]
        layers += [layer[column] for layer in layers if column in layer]
        settings = {"data": data, "profile": profile, "group": self.name, "seeds": self.seeds}
        grid = dict(self.grid)
        for layer in layers:
            values = {k: v for k, v in layer.items() if not isinstance(v, dict)}
            settings |= values
            thins = layer is own or layer is own.get(column)
            new_grid = {} if thins else layer.get("grid", {})
            grid = {k: v for k, v in grid.items() if k not in values} | new_grid
            settings = {k: v for k, v in settings.items() if k not in new_grid}
        for thinner in (own.get("grid", {}), own.get(column, {}).get("grid", {})):
            grid |= {k: thinned(grid[k], v) for k, v in thinner.items() if k in grid}
        seeds = settings.pop("seeds")
        settings.pop("columns", None)
        return settings, grid, seeds

    def with_grid(self, typed: Grid) -> "Study":
        """The same where these values are tried in every row and column, whatever it says there."""

        def without(part: Any) -> Any:
            if not isinstance(part, dict):
                return part
            return {key: without(value) for key, value in part.items() if key not in typed}

        parts = ("grid", "columns", "rows", "profiles")
        left = {name: without(getattr(self, name)) for name in parts}
        return replace(self, **left | {"grid": left["grid"] | typed})


def product(grid: Grid) -> list[Settings]:
    """All points of a grid, the last key's values one after the other."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def grids_of(
    study: Settings, columns: Mapping[str, Settings], rows: Mapping[str, Settings]
) -> list[Grid]:
    """All grids of a study: its own, of columns, of rows, and of rows for single columns."""
    layers = [study, *columns.values(), *rows.values()]
    for row in rows.values():
        layers += [row[column] for column in columns if column in row]
    return [layer["grid"] for layer in layers if "grid" in layer]


def thinned(values: list[Any], to: list[Any] | int) -> list[Any]:
    """Other values, or that many of these, as evenly spread as can be; of one, the middle."""
    if isinstance(to, list):
        return to
    if to >= len(values):
        return values
    last = len(values) - 1
    places = [last // 2] if to == 1 else [round(i * last / (to - 1)) for i in range(to)]
    return [values[place] for place in places]


def is_number(value: Any) -> bool:
    """Infinity included, which `engine.checks.is_number` refuses: a grid may have it."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def slug(text: str) -> str:
    """The text as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
