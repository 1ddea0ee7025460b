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

    A heat map has numbers in its cells, over two keys of the grid, or for each trial of a run.

    Attributes:
        x: "step", a metric, a key of the grid, or "trial".
        y: a key of the grid, where x is one.
        across: where x is "trial", the cells in a line.
        colour: of a heat map's cells, if not `metric`.
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
        """What stands on the axis of the metric."""
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
        settings: all that this run's config is to say, grid and seed included.
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
    """What the YAML says; see the top of this file."""

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
        """What its name begins with: of the studies of a paper its name."""
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
        parts = [self.columns[column], self.rows[row], self.profiles[profile]]
        own = [part[column] for part in parts if column in part]
        said = {"data": data, "profile": profile, "group": self.name, "seeds": self.seeds}
        for part in parts + own:
            said |= {k: v for k, v in part.items() if not isinstance(v, dict)}
        seeds = said.pop("seeds")
        said.pop("columns", None)
        return said, seeds


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def slug(text: str) -> str:
    """What stands for the text in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
