"""Everything rendered: a study's table and figures as files, and the page over all runs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from engine.environment import version
from engine.identity import identity
from engine.metrics import find_metric, headline_of, in_order, metric_named
from engine.records import Record
from engine.yaml_files import dump_yaml
from results import curves, figures, table
from results.analysis import Result, Row, warnings
from results.markup import latex, markdown
from results.page import page
from results.paired import against_reference
from results.published import published
from results.smoothing import remark
from results.study import Figure, Study

PAGE = "index.html"
CURVE_POINTS = 150


def render_study(result: Result) -> dict[str, bytes]:
    """A study's table (Markdown, LaTeX, CSV), its runs (JSON lines) and figures (PNG, PDF).

    Returns:
        The files' contents by their names, which begin with `name_of(result)`.
    """
    tables = tables_of(result)
    texts = {
        f"{result.name}.md": "\n".join(map(markdown, tables)),
        f"{result.name}.tex": "\n".join(map(latex, tables)),
        f"{result.name}.csv": table.comma_separated(result),
        f"{result.name}.jsonl": "".join(map(run_line, result.records)),
    }
    files = {name: text.encode() for name, text in texts.items()} | figures.draw(result)
    return {f"{result.study.folder}/{name}": content for name, content in files.items()}


def tables_of(result: Result) -> list[table.Table]:
    """A study's table, and the one of its rows against the reference row, if it names one."""
    return [table.tabulate(result), *against_reference(result)]


def name_of(result: Result) -> str:
    """The path in the folder of reports that a study's files begin with."""
    return f"{result.study.folder}/{result.name}"


def run_line(record: Record) -> str:
    """A run as a line of JSON: what to keep of it without its folder, curves and trials."""
    left_out = ("trials", "sha256")
    summary = {key: value for key, value in record.summary.items() if key not in left_out}
    line = {"id": record.id, "identity": identity(record.config)}
    return json.dumps(line | {"summary": summary, "environment": record.environment}) + "\n"


def render_page(
    studies: Sequence[Study], results: Iterable[Result], records: Iterable[Record]
) -> dict[str, bytes]:
    """The page over all studies and runs, by its name."""
    results, records = list(results), list(records)
    payload = {
        "title": "adamily",
        "version": version("adamily"),
        "generated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metrics": {
            name: metric_payload(name)
            for name in in_order([*reported(records), *shown_by(studies)])
        },
        "studies": [
            study_payload(study, [r for r in results if r.study.name == study.name])
            for study in studies
        ],
        "runs": [run_payload(record) for record in records],
    }
    return {PAGE: page(payload).encode()}


def reported(records: Iterable[Record]) -> list[str]:
    """The metrics that some runs have, in the order in which the page offers them."""
    return in_order(name for record in records for name in record.curves)


def metric_payload(name: str) -> dict[str, Any]:
    metric = metric_named(name)
    return {"label": metric.label, "better": metric.better, "log": metric.log}


def shown_by(studies: Iterable[Study]) -> Iterator[str]:
    """The metrics that tables and figures of some studies show."""
    for study in studies:
        yield from (study.select.metric, *study.report)
        for figure in study.figures.values():
            yield from filter(find_metric, (figure.metric, figure.shade, figure.x))


def study_payload(study: Study, results: Sequence[Result]) -> dict[str, Any]:
    paper = published(study.paper)
    return {
        "name": study.name,
        "title": study.title,
        "paper": study.paper,
        "citation": f"{paper['authors']}, “{paper['title']}”" if paper["authors"] else "",
        "reproduces": study.reproduces,
        "notes": [*study.notes_on(study.columns), table.how_chosen(study)],
        "metrics": list(dict.fromkeys([study.select.metric, *study.report])),
        "profiles": {profile: len(study.cells(profile, "full")) for profile in study.profiles},
        "variants": [variant_payload(result) for result in results],
    }


def variant_payload(result: Result) -> dict[str, Any]:
    counts = {status: result.count(status) for status in ("finished", "diverged", "failed")}
    return {
        "profile": " ".join([result.profile, *result.changes]),
        "data": result.data,
        "status": {
            "cells": result.planned,
            **counts,
            "missing": result.planned - sum(counts.values()),
        },
        "table": table_payload(table.tabulate(result)),
        "against_reference": [table_payload(tabulated) for tabulated in against_reference(result)],
        "warnings": warnings(result),
        "hardware": table.hardware_of(result),
        "commits": table.commits_of(result),
        "command": result.command,
        "curves": [curves_payload(row, result.study) for row in result.rows if row.best],
        "figures": figure_payloads(result),
        "sensitivity": [
            sensitivity_payload(row, key, result.study)
            for row in result.rows
            if row.best
            for key in row.best.values
        ],
        "runs": [record.id for record in result.records],
    }


def table_payload(tabulated: table.Table) -> dict[str, Any]:
    return {"headers": tabulated.headers, "rows": tabulated.rows, "notes": tabulated.notes}


def curves_payload(row: Row, study: Study) -> dict[str, Any]:
    assert row.best is not None and row.shown is not None
    metrics = reported(row.shown.records)
    bands = {metric: curves.curve(row.shown, metric, study.statistic) for metric in metrics}
    return {
        "row": row.row,
        "column": row.column,
        "point": ", ".join(
            f"{table.short(key)}={table.number(value)}" for key, value in row.best.values.items()
        ),
        "metrics": {
            metric: {
                "step": thin(band.x),
                "mean": thin(band.mean),
                "low": thin(band.low),
                "high": thin(band.high),
                "seeds": band.seeds,
            }
            for metric, band in bands.items()
            if band
        },
    }


def sensitivity_payload(row: Row, key: str, study: Study) -> dict[str, Any]:
    metrics = reported(record for point in row.points for record in point.records)
    bands = {metric: curves.sensitivity(row, key, metric, study) for metric in metrics}
    diverged: Counter[Any] = Counter()
    for point in row.points:
        diverged[curves.axis_value(study, key, point.values[key])] += point.count("diverged")
    return {
        "row": row.row,
        "column": row.column,
        "key": key,
        "metrics": {
            metric: {
                "x": band.x,
                "mean": band.mean,
                "low": band.low,
                "high": band.high,
                "diverged": [diverged[x] for x in band.x],
                "missed": [x in band.missed for x in band.x],
            }
            for metric, band in bands.items()
            if band
        },
    }


def figure_payloads(result: Result) -> list[dict[str, Any]]:
    """A study's heat maps and lines, without each column's curves over the steps as they are."""
    payloads = []
    for name, figure in result.study.figures.items():
        if figure.is_heat_map:
            payload = maps_payload(figure, result)
        elif figure.x != "step" or figure.normalised or figure.lines or figure.smooth:
            payload = {"x": figure.x, "lines": lines_payload(figure, result)}
            payload |= {"label": figure.label, "log": figure.log, "normalised": figure.normalised}
        else:
            continue
        if payload.get("panels") or payload.get("lines"):
            title = "; ".join(filter(None, (figure.title, remark(figure, result.records))))
            payloads.append({"name": name, "title": title, "metric": figure.metric} | payload)
    return payloads


def maps_payload(figure: Figure, result: Result) -> dict[str, Any]:
    panels = curves.heat_maps(result, figure)
    return {
        "x": figure.x,
        "y": figure.y,
        "shade": figure.shade,
        "range": list(curves.colour_range(panels.values(), metric_named(figure.shade).log)),
        "panels": [{"name": name} | asdict(panel) for name, panel in panels.items()],
    }


def lines_payload(figure: Figure, result: Result) -> list[dict[str, Any]]:
    return [
        {"row": row, "column": column, "x": thin(line.x), "mean": thin(line.mean)}
        for column, lines in curves.lines_of(result, figure).items()
        for row, line in lines.items()
    ]


def run_payload(record: Record) -> dict[str, Any]:
    config, summary = record.config, record.summary
    return {
        "id": record.id,
        "task": config["names"]["task"],
        "optim": config["names"]["optim"],
        "lr": config["optim"].get("lr"),
        "seed": config["seed"],
        "profile": config["profile"],
        "data": config["data"],
        "status": record.status,
        "step": summary.get("step"),
        "steps": summary.get("steps"),
        "final": summary.get("final", {}),
        "best": summary.get("best", {}),
        "headline": headline_of(config),
        "wall_seconds": summary.get("wall_seconds"),
        "step_seconds": summary.get("step_seconds"),
        "folder": str(record.folder),
        "error": summary.get("error"),
        "config": dump_yaml(config),
        "environment": record.environment,
        "curves": {
            name: {"step": thin(steps), "value": thin(values)}
            for name, (steps, values) in record.curves.items()
        },
    }


def thin(points: Sequence[Any]) -> list[Any]:
    """At most CURVE_POINTS of them, evenly spaced, the last one included.

    A page over thousands of runs stays small; metrics.jsonl has every point.
    """
    if len(points) <= CURVE_POINTS:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (CURVE_POINTS - 1))] for i in range(CURVE_POINTS)]
