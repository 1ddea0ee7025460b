"""A study: one table or figure of a paper as rows, a grid, seeds and a rule to choose by."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.metrics import metric_named
from engine.texts import hydra_text

PROFILES = ("paper", "short", "smoke")

Statistic = Literal["mean", "mean_se", "median"]
# As tables and figures name them.
STATISTICS: dict[Statistic, str] = {
    "mean": "mean ± standard deviation",
    "mean_se": "mean ± standard error",
    "median": "median ± standard error",
}

Settings = dict[str, Any]


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
        y: a key of the grid, where x is one.
        across: where x is "trial", the number of squares side by side.
        colour: the metric that colours a heat map's squares, if not `metric`.
        normalised: whether the columns are averaged, after the values of all rows in each of them
            were scaled to run from 0 to 1.
    """

    title: str
    rows: list[str]
    metric: str
    x: str = "step"
    y: str | None = None
    across: int | None = None
    colour: str | None = None
    normalised: bool = False

    @property
    def label(self) -> str:
        """The label of the metric's axis."""
        label = metric_named(self.metric).label
        return f"{label}, 0 to 1 in each column" if self.normalised else label

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
    """

    row: str
    column: str
    point: Settings
    seed: int
    settings: Settings

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
    grid: dict[str, list[Any]]
    seeds: int
    select: Select
    report: list[str]
    statistic: Statistic
    published: list[str]
    figures: dict[str, Figure]
    profiles: dict[str, Settings]

    @property
    def folder(self) -> str:
        """The folder of its YAML in `conf/study/`: the paper's or the suite's name."""
        return self.name.partition("/")[0]

    def cells(self, profile: str, data: str) -> list[Cell]:
        """Every run of one profile on one data source, row by row.

        Raises:
            StudyError: the study has no such profile.
        """
        if profile not in self.profiles:
            raise StudyError(f"profile={profile}: study {self.name} has {', '.join(self.profiles)}")
        grid = self.grid_of(profile)
        points = [
            dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
        ]
        return [
            Cell(row, column, point, seed, settings | point | {"seed": seed})
            for column, row in self.pairs(profile)
            for settings, seeds in [self.settings(profile, data, row, column)]
            for point in points
            for seed in range(seeds)
        ]

    def count(self, profile: str) -> int:
        """How many cells one profile has, without making them."""
        seeds = (self.settings(profile, "", row, column)[1] for column, row in self.pairs(profile))
        return math.prod(map(len, self.grid_of(profile).values())) * sum(seeds)

    def grid_of(self, profile: str) -> dict[str, list[Any]]:
        return self.grid | self.profiles[profile].get("grid", {})

    def pairs(self, profile: str) -> Iterator[tuple[str, str]]:
        """Labels of columns and rows, a column's rows one after the other."""
        return itertools.product(self.profiles[profile].get("columns", self.columns), self.rows)

    def settings(self, profile: str, data: str, row: str, column: str) -> tuple[Settings, int]:
        """What all runs of a row in a column share, and how many seeds there are."""
        layers = [self.columns[column], self.rows[row], self.profiles[profile]]
        for_column = [layer[column] for layer in layers if column in layer]
        settings = {"data": data, "profile": profile, "group": self.name, "seeds": self.seeds}
        for layer in layers + for_column:
            settings |= {k: v for k, v in layer.items() if not isinstance(v, dict)}
        seeds = settings.pop("seeds")
        settings.pop("columns", None)
        return settings, seeds


def is_number(value: Any) -> bool:
    """Infinity included, which `engine.checks.is_number` refuses: a grid may have it."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def slug(text: str) -> str:
    """The text as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
