"""A report in W&B of a study: how its rows depend on the rate, and curves of the best points."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.console import say
from engine.labels import settings
from engine.loggers import WandbLogger
from engine.loggers.logger import import_tracker
from engine.loggers.wandb_logger import column_name
from engine.metrics import metric_named
from engine.records import Record
from results.analysis import Result, Row
from results.study import Study, is_number


def say_report(results: Sequence[Result], dashboard: WandbLogger) -> None:
    """Save a report of each result, and print where it is; offline, only say how to get one.

    Raises:
        ModuleNotFoundError: wandb-workspaces is not installed.
    """
    if not results:
        return
    if not dashboard.is_online:
        say("A report of the study is made by the same command where W&B is online.")
        return
    for result in results:
        saved = report_of(result, dashboard.project, dashboard.entity or "").save()
        say(f"Report of {result.name}: {saved.url}")


def report_of(result: Result, project: str, entity: str) -> Any:
    """The report of a study's result, not saved yet, which only a server can do.

    For each column of the study: its metrics against each key of the grid, a point for each grid
    point, the mean over its seeds; and curves of each row's best grid point, a band over its seeds.

    Raises:
        ModuleNotFoundError: wandb-workspaces is not installed.
    """
    import_tracker("wandb_workspaces")
    study = result.study
    rows = [row for row in result.rows if row.shown]
    columns = list(dict.fromkeys(row.column for row in rows))
    return reports().Report(
        entity=entity,
        project=project,
        title=f"{study.title} ({result.profile}, {result.data})",
        description=f"Study {study.name} of adamily. Command: {result.command}",
        blocks=[
            block
            for column in columns
            for block in blocks(study, column, [row for row in rows if row.column == column])
        ],
    )


def reports() -> Any:
    return importlib.import_module("wandb_workspaces.reports.v2")


def blocks(study: Study, column: str, rows: Sequence[Row]) -> Iterator[Any]:
    """What a report says of a column: two headings, each with a grid of panels."""
    metrics = list(dict.fromkeys([study.select.metric, *study.report]))
    keys = list(dict.fromkeys(key for row in rows for point in row.points for key in point.values))
    names = {key: name_of(key, rows) for key in keys}
    groups = [f"config.{name}" for name in ("row", *names.values())]
    if keys:
        points = [
            runset(row.row, [r for point in row.points for r in point.records], groups)
            for row in rows
        ]
        yield reports().H2(f"{column}: sensitivity")
        yield reports().PanelGrid(
            runsets=points,
            panels=[
                scatter(name, all_positive(study, key), metric, study)
                for key, name in names.items()
                for metric in metrics
            ],
        )
    best = [runset(row.row, row.shown.records if row.shown else [], groups[:1]) for row in rows]
    yield reports().H2(f"{column}: the best grid point of each row")
    yield reports().PanelGrid(runsets=best, panels=list(map(curve, metrics)))


def name_of(key: str, rows: Iterable[Row]) -> str:
    """What W&B has a key of the grid as: "lr" for optim.lr."""
    [known, *_] = [settings(r.config) for row in rows for p in row.points for r in p.records]
    return column_name(key if key in known else key.partition(".")[2])


def all_positive(study: Study, key: str) -> bool:
    return all(is_number(value) and value > 0 for value in study.tried(key))


def runset(name: str, records: Iterable[Record], groups: Sequence[str]) -> Any:
    """These runs, and the keys by which lines and points are means over them."""
    expressions = importlib.import_module("wandb_workspaces.expr")
    own = expressions.And(expressions.Metric("ID").isin([record.id for record in records]))
    return reports().Runset(name=name, filters=own, groupby=list(groups))


def scatter(name: str, log_x: bool, metric: str, study: Study) -> Any:
    """A metric at the evaluation that the study looks at, against a key of the grid."""
    known = metric_named(metric)
    at = "best" if study.select.at == "best" and known.better else "final"
    return reports().ScatterPlot(
        title=f"{known.label} ({at}) by {name}",
        x=reports().Config(name),
        y=reports().SummaryMetric(f"{at}/{metric}"),
        log_x=log_x,
        log_y=known.log,
    )


def curve(metric: str) -> Any:
    """A metric over the steps, the mean over seeds and their range."""
    known = metric_named(metric)
    return reports().LinePlot(
        title=known.label,
        x="Step",
        y=[metric],
        log_y=known.log,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
    )
