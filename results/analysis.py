"""What a study's table says, computed from its runs."""

import hashlib
import itertools
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from engine import search_path
from engine.metrics import is_binary, metric_named, reached_of
from engine.record_files import ENDED
from engine.records import Record
from results.published import Printed, printed, published
from results.searching import Look, SearchState, key_of
from results.statistics import Estimate, estimate
from results.study import Cell, Study, is_number, slug


@dataclass(frozen=True)
class Point:
    """One grid point of one row and column, over its seeds.

    Attributes:
        values: the grid's keys and the values tried here.
        records: of the runs that have begun.
        planned: how many runs the study asks for.
        cut: whether the search lets its runs go no further than where they paused.
    """

    values: dict[str, Any]
    records: list[Record]
    planned: int
    cut: bool = False

    def count(self, status: str) -> int:
        return sum(record.status == status for record in self.records)

    @property
    def ended(self) -> bool:
        """Whether every run of it finished or diverged, or goes no further."""
        return self.cut or self.count("finished") + self.count("diverged") == self.planned

    def values_of(self, metric: str, study: Study, at: str | None = None) -> list[float]:
        """The metric of each seed that finished, or of each of its trials.

        At the evaluation that the study's rule looks at, or else at the "last" or the "best" one.
        """
        return [*itertools.chain(*self.values_by_seed(metric, study, at).values())]

    def values_by_seed(
        self, metric: str, study: Study, at: str | None = None
    ) -> dict[int, list[float]]:
        """The same for each seed: one value, or one for each trial.

        A metric that has no best value, since neither direction is better, is taken where the
        study's own is best; so is one of test data where that is of validation data, since the
        evaluation is chosen, too.
        """
        rule = study.select
        evaluations = rule.evaluations if at is None else 1
        finished = [record for record in self.records if record.status == "finished"]
        on_test = metric.startswith("test/") and rule.metric.startswith("valid/")
        if (at or rule.at) == "best" and (on_test or metric_named(metric).better is None):
            found = {r.config["seed"]: r.value_at_best_of(metric, rule.metric) for r in finished}
            return {seed: [] if value is None else [value] for seed, value in found.items()}
        return {
            record.config["seed"]: record.values(metric, at or rule.at, evaluations)
            for record in finished
        }

    def estimate(self, metric: str, study: Study, at: str | None = None) -> Estimate | None:
        """The statistic over the seeds that finished; None where none did."""
        values = self.values_of(metric, study, at)
        if not values:
            return None
        found = estimate(values, study.statistic, self.are_outcomes(metric, study, at))
        if missed := self.missed(metric, study, at):
            # The mean is a bound, so that nothing is known of how far it is off.
            return replace(found, missed=missed, low=None, high=None)
        return found

    def are_outcomes(self, metric: str, study: Study, at: str | None) -> bool:
        """Whether `values_of` has the outcome of each trial, and not means over trials."""
        evaluations = study.select.evaluations if at is None else 1
        if not is_binary(metric) or (at or study.select.at) == "best" or evaluations > 1:
            return False
        finished = [record for record in self.records if record.status == "finished"]
        return all(metric in record.summary.get("trials", {}) for record in finished)

    def best_seed(self, metric: str, study: Study) -> float | None:
        """The metric's value of the seed that has the best; None where neither direction is."""
        better = metric_named(metric).better
        values = [fmean(seed) for seed in self.values_by_seed(metric, study).values() if seed]
        if better is None or not values:
            return None
        return min(values) if better == "min" else max(values)

    def missed(self, metric: str, study: Study, at: str | None = None) -> float:
        """The share of the metric's values that are just the budget."""
        reached = reached_of(metric)
        found = self.values_of(reached, study, at) if reached else []
        return 1 - fmean(found) if found else 0.0


@dataclass(frozen=True)
class Row:
    """One line of a study's table: a row in a column, at its best grid point.

    Attributes:
        points: all grid points, in the grid's order.
        best: the one that the study's rule chooses, None while nothing has finished.
        confirmed: that point with fresh seeds, where the study asks for them and has chosen.
        estimates: metric → statistic over the seeds of `shown`.
        printed: the paper's numbers, by what they are: a key of the grid or a metric.
    """

    row: str
    column: str
    points: list[Point]
    best: Point | None
    confirmed: Point | None
    estimates: dict[str, Estimate]
    printed: dict[str, Printed]

    @property
    def shown(self) -> Point | None:
        """The point with the seeds whose numbers the table shows."""
        return self.confirmed or self.best

    @property
    def all_points(self) -> list[Point]:
        return [*self.points, *([self.confirmed] if self.confirmed else [])]

    @property
    def complete(self) -> bool:
        return all(point.ended for point in self.all_points)

    def count(self, status: str) -> int:
        return sum(point.count(status) for point in self.all_points)

    @property
    def planned(self) -> int:
        return sum(point.planned for point in self.all_points)

    @property
    def cut(self) -> int:
        """How many runs go no further than where they paused."""
        cut = (point for point in self.points if point.cut)
        return sum(p.planned - p.count("finished") - p.count("diverged") for p in cut)


@dataclass(frozen=True)
class Result:
    """A study's rows for one profile and one data source.

    Attributes:
        profile: the study's.
        changes: overrides of what the study says, which make it another experiment.
        search: the search that was asked for instead of the study's own, as typed; else "".
    """

    study: Study
    profile: str
    data: str
    rows: list[Row]
    changes: tuple[str, ...] = ()
    search: str = ""

    @property
    def records(self) -> list[Record]:
        """Of each run once, also where it is of several rows, as two grids share a point."""
        points = (point for row in self.rows for point in row.all_points)
        return list({record.id: record for point in points for record in point.records}.values())

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
        if self.search:
            profile += f"-{slug(self.search)}"
        return f"{self.study.name.partition('/')[2]}.{profile}.{self.data}"

    @property
    def made_with(self) -> str:
        """The part that every title has, for example "profile smoke, sample data"."""
        changed = f" changed by {' '.join(self.changes)}" if self.changes else ""
        search = f", search {self.search}" if self.search else ""
        return f"profile {self.profile}{changed}{search}, {self.data} data"

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
        arguments += [f"search={self.search}"] if self.search else []
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
    found: SearchState,
    look: Look,
    changes: tuple[str, ...] = (),
    search: str = "",
) -> Result:
    """Group a search's cells into rows and choose each row's best grid point."""
    groups: dict[tuple[str, str], dict[tuple, list[Cell]]] = {}
    for cell in found.cells:
        by_point = groups.setdefault((cell.column, cell.row), {})
        by_point.setdefault((cell.confirms, key_of(cell)), []).append(cell)
    rows = []
    for (column, label), by_point in groups.items():
        points = {
            key: Point(
                cells[0].point,
                [record for cell in cells if (record := look(cell))],
                len(cells),
                key[1] in found.cut,
            )
            for key, cells in by_point.items()
        }
        confirmed = [point for (confirms, _), point in points.items() if confirms]
        searched = [point for (confirms, _), point in points.items() if not confirms]
        rows.append(make_row(study, label, column, searched, *confirmed))
    return Result(study, profile, data, rows, changes, search)


def make_row(
    study: Study, label: str, column: str, points: list[Point], confirmed: Point | None = None
) -> Row:
    # A point that was cut may have a run that ended before.
    best = choose(study, [point for point in points if not point.cut])
    if confirmed:
        best = next(point for point in points if point.values == confirmed.values)
    shown = confirmed or best
    metrics = dict.fromkeys([study.select.metric, *study.report])
    estimates = {metric: shown.estimate(metric, study) for metric in metrics} if shown else {}
    return Row(
        row=label,
        column=column,
        points=points,
        best=best,
        confirmed=confirmed,
        estimates={metric: value for metric, value in estimates.items() if value is not None},
        printed=printed_numbers(study, label, column),
    )


def printed_numbers(study: Study, label: str, column: str) -> dict[str, Printed]:
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
    for key in row.best.values:
        numbers = {point.values[key] for point in row.points if is_number(point.values[key])}
        if len(numbers) > 1 and row.best.values[key] in (min(numbers), max(numbers)):
            return key
    return None


def steps_spent(result: Result) -> tuple[int, int]:
    """The steps that the runs of a search have taken, and those of all of them to their ends."""
    spent = planned = 0
    for row in result.rows:
        records = [record for point in row.points for record in point.records]
        lengths = [length for record in records if (length := steps_of(record))]
        spent += sum(map(steps_taken, records))
        planned += sum(point.planned for point in row.points) * max(lengths, default=0)
    return spent, planned


def steps_of(record: Record) -> int:
    """The steps of a run to its end, as far as it has come to a pause or the end; else 0."""
    pauses = [pause["steps"] for pause in record.pauses.values()]
    return record.summary.get("steps") or max(pauses, default=0)


def steps_taken(record: Record) -> int:
    if record.status in ENDED:
        return record.summary["step"]
    lines = [line["step"] for line in record.lines]
    return max([*lines, *(pause["step"] for pause in record.pauses.values())], default=0)


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
    missing -= sum(row.cut for row in result.rows)
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
