"""What a study's table says, computed from its runs."""

import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from engine import search_path
from engine.records import Record
from results.published import printed, published
from results.statistics import Estimate, estimate
from results.study import Cell, Study, is_number


@dataclass(frozen=True)
class Point:
    """One grid point of one row and column, over its seeds.

    Attributes:
        values: the grid's keys and the values tried here.
        records: of the runs that have begun.
        planned: how many runs the study asks for.
    """

    values: dict[str, Any]
    records: list[Record]
    planned: int

    def count(self, status: str) -> int:
        return sum(record.status == status for record in self.records)

    @property
    def ended(self) -> bool:
        """Whether every run of it finished or diverged."""
        return self.count("finished") + self.count("diverged") == self.planned

    def values_of(self, metric: str, study: Study, at: str | None = None) -> list[float]:
        """The metric of each seed that finished, or of each of its trials.

        At the evaluation that the study's rule looks at, or else at the "last" or the "best" one.
        """
        rule = study.select
        evaluations = rule.evaluations if at is None else 1
        finished = (record for record in self.records if record.status == "finished")
        return [
            value
            for record in finished
            for value in record.values(metric, at or rule.at, evaluations)
        ]

    def estimate(self, metric: str, study: Study, at: str | None = None) -> Estimate | None:
        """The statistic over the seeds that finished; None where none did."""
        values = self.values_of(metric, study, at)
        return estimate(values, study.statistic) if values else None


@dataclass(frozen=True)
class Row:
    """One line of a study's table: a row in a column, at its best grid point.

    Attributes:
        points: all grid points, in the grid's order.
        best: the one that the study's rule chooses, None while nothing has finished.
        estimates: metric → statistic over seeds at `best`.
        printed: the paper's numbers, by what they are: a key of the grid or a metric.
    """

    row: str
    column: str
    points: list[Point]
    best: Point | None
    estimates: dict[str, Estimate]
    printed: dict[str, float]

    @property
    def complete(self) -> bool:
        return all(point.ended for point in self.points)

    def count(self, status: str) -> int:
        return sum(point.count(status) for point in self.points)

    @property
    def planned(self) -> int:
        return sum(point.planned for point in self.points)


@dataclass(frozen=True)
class Result:
    """A study's rows for one profile and one data source.

    Attributes:
        profile: the study's.
        changes: overrides of what the study says, which make it another experiment.
    """

    study: Study
    profile: str
    data: str
    rows: list[Row]
    changes: tuple[str, ...] = ()

    @property
    def records(self) -> list[Record]:
        return [record for row in self.rows for point in row.points for record in point.records]

    def count(self, status: str) -> int:
        return sum(row.count(status) for row in self.rows)

    @property
    def planned(self) -> int:
        return sum(row.planned for row in self.rows)

    @property
    def name(self) -> str:
        """The beginning of every file's name, for example "fc2.smoke.sample"."""
        profile = self.profile
        if self.changes:
            digest = hashlib.sha256(" ".join(sorted(self.changes)).encode()).hexdigest()
            profile += f"-custom-{digest[:6]}"
        return f"{self.study.name.partition('/')[2]}.{profile}.{self.data}"

    @property
    def made_with(self) -> str:
        """The part that every title has, for example "profile smoke, sample data"."""
        changed = f" changed by {' '.join(self.changes)}" if self.changes else ""
        return f"profile {self.profile}{changed}, {self.data} data"

    def trials(self, metric: str) -> int:
        """How many independent trials a run has, each with a value of the metric; usually 1."""
        values_of_runs = (
            record.summary.get("trials", {}).get(metric, [0]) for record in self.records
        )
        return max(map(len, values_of_runs), default=1)

    @property
    def command(self) -> str:
        """The shell command that makes this result."""
        arguments = [f"study={self.study.name}", f"profile={self.profile}", f"data={self.data}"]
        if not (search_path.CONF / "study" / f"{self.study.name}.yaml").exists():
            arguments += [f"--config-dir={relative_path(folder)}" for folder in search_path.named()]
        return f"python -m scripts.sweep {shlex.join([*arguments, *self.changes])}"

    @property
    def comparable(self) -> bool:
        """Whether the numbers were made as the paper's were: the whole budget on the whole data."""
        return self.profile == "paper" and self.data == "full" and not self.changes


def relative_path(folder: Path) -> str:
    """The path from the working folder, if the folder lies in it."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def analyse(
    study: Study,
    profile: str,
    data: str,
    runs: Iterable[tuple[Cell, Record | None]],
    changes: tuple[str, ...] = (),
) -> Result:
    """Group a study's cells into rows and choose each row's best grid point."""
    groups: dict[tuple[str, str], dict[tuple, list[tuple[Cell, Record | None]]]] = {}
    for cell, record in runs:
        by_point = groups.setdefault((cell.column, cell.row), {})
        by_point.setdefault(tuple(map(str, cell.point.values())), []).append((cell, record))
    rows = []
    for (column, label), by_point in groups.items():
        points = [
            Point(seeds[0][0].point, [record for _, record in seeds if record], len(seeds))
            for seeds in by_point.values()
        ]
        rows.append(make_row(study, label, column, points))
    return Result(study, profile, data, rows, changes)


def make_row(study: Study, label: str, column: str, points: list[Point]) -> Row:
    best = choose(study, points)
    metrics = dict.fromkeys([study.select.metric, *study.report])
    estimates = {metric: best.estimate(metric, study) for metric in metrics} if best else {}
    return Row(
        row=label,
        column=column,
        points=points,
        best=best,
        estimates={metric: value for metric, value in estimates.items() if value is not None},
        printed=printed_numbers(study, label, column),
    )


def printed_numbers(study: Study, label: str, column: str) -> dict[str, float]:
    tables = printed_quantities(study)
    numbers = {
        quantity: printed(study.paper, table, label, column) for quantity, table in tables.items()
    }
    return {quantity: value for quantity, value in numbers.items() if value is not None}


def choose(study: Study, points: list[Point]) -> Point | None:
    """The best grid point by the mean over seeds.

    The more seeds of a point diverged, the worse it is, whatever the mean of those that are left.
    Where the study asks for the worst point, it is the one with most diverged seeds.
    """
    mean_sign = 1 if study.select.mode == "min" else -1
    diverged_sign = -1 if study.select.worst else 1

    def sort_key(point: Point) -> tuple[int, float]:
        # By the mean also where the table shows medians.
        mean = fmean(point.values_of(study.select.metric, study))
        return diverged_sign * point.count("diverged"), mean_sign * mean

    candidates = [point for point in points if point.values_of(study.select.metric, study)]
    return min(candidates, key=sort_key, default=None)


def key_at_edge(study: Study, row: Row) -> str | None:
    """The first grid key whose best value is the smallest or the largest tried, if there is one."""
    if row.best is None or study.select.worst:
        return None
    for key in study.grid:
        numbers = {point.values[key] for point in row.points if is_number(point.values[key])}
        if len(numbers) > 1 and row.best.values[key] in (min(numbers), max(numbers)):
            return key
    return None


def printed_quantities(study: Study) -> dict[str, str]:
    """A grid key or a metric of which the paper prints numbers → the table that prints them."""
    tables = published(study.paper)["tables"]
    return {tables[name]["value"]: name for name in study.published}


def warnings(result: Result) -> list[str]:
    """Sentences that a reader must know before trusting the table."""
    texts = []
    if not result.comparable:
        texts.append(f"Made with {result.made_with}: not comparable with print.")
    missing = result.planned - result.count("finished") - result.count("diverged")
    if missing:
        texts.append(f"{missing} of {result.planned} runs have not finished: the table may change.")
    if failed := result.count("failed"):
        texts.append(f"{failed} runs failed; their log.txt says why. Sweep again to retry them.")
    at_edges: dict[str, list[str]] = {}
    for row in result.rows:
        if key := key_at_edge(result.study, row):
            assert row.best is not None
            text = f"{row.row} ({row.column}) {row.best.values[key]:g}"
            at_edges.setdefault(key, []).append(text)
    texts += [
        f"The best {key} is at the edge of the grid, so that a better one may lie beyond: "
        f"{', '.join(rows)}."
        for key, rows in at_edges.items()
    ]
    return texts
