"""A study's numbers in the shape of a paper's table: methods down, columns across."""

from typing import Any

from engine.metrics import metric_named
from results.analysis import Result, Row, printed_quantities
from results.differences import SIGNIFICANT, compare, holm
from results.paired import shared_values
from results.study import Study
from results.table import beside_print, center_and_spread, interval, number, printed_text, ratio

# A row of a column → how it stands there: "best", or "tied" where nothing tells it from the best.
Marks = dict[str, str]


def paper_table(result: Result) -> dict[str, Any]:
    """What the page makes a study's table of."""
    study = result.study
    columns = list(dict.fromkeys(row.column for row in result.rows))
    marks = {
        (metric, column): marks_of([r for r in result.rows if r.column == column], metric, study)
        for metric in study.report
        for column in columns
    }
    printed = printed_quantities(study)
    return {
        "columns": columns,
        "rows": list(dict.fromkeys(row.row for row in result.rows)),
        "keys": study.keys,
        "chosen": "worst" if study.select.worst else "best",
        "metrics": study.report,
        "printed": [name for name in (*study.keys, *study.report) if name in printed],
        "cells": [cell(row, marks, study) for row in result.rows if row.shown or row.printed],
    }


def cell(row: Row, marks: dict[tuple[str, str], Marks], study: Study) -> dict[str, Any]:
    values = row.best.values if row.best else {}
    return {
        "row": row.row,
        "column": row.column,
        "point": {
            key: {
                "text": number(values.get(key)),
                "value": values[key] if isinstance(values.get(key), int | float) else None,
                "printed": printed_text(row.printed.get(key)),
                "ratio": ratio(values.get(key), row.printed.get(key)),
            }
            for key in study.keys
            if key in values or key in row.printed
        },
        "metrics": {
            metric: quantity(row, metric, study, marks[metric, row.column].get(row.row))
            for metric in study.report
            if metric in row.estimates or metric in row.printed
        },
        "ended": row.count("finished") + row.count("diverged"),
        "planned": row.planned,
        "cut": row.cut,
        "diverged": row.count("diverged"),
    }


def quantity(row: Row, metric: str, study: Study, mark: str | None) -> dict[str, Any]:
    """A metric of a row, beside print."""
    estimate, printed = row.estimates.get(metric), row.printed.get(metric)
    difference, limits, inside = beside_print(estimate, printed, study.statistic)
    return {
        "text": center_and_spread(estimate),
        "value": estimate.center if estimate and estimate.missed != 1 else None,
        "interval": interval(estimate),
        "printed": printed_text(printed),
        "difference": difference,
        "difference_interval": limits,
        "inside": inside,
        "mark": mark,
    }


def lost(row: Row) -> int:
    """How many of the seeds that are shown diverged."""
    return row.shown.count("diverged") if row.shown else 0


def marks_of(rows: list[Row], metric: str, study: Study) -> Marks:
    """The best row of a column, and those that differ from it by no more than chance.

    That is where the paired t-test over the seeds that both finished, corrected by Holm for all
    rows of the column, has no p below 0.05. With one seed nothing is known, and none is tied. As in
    a search, a row of which more seeds diverged is worse, whatever the mean of those that are left.
    """
    better = metric_named(metric).better
    known = {
        row.row: row
        for row in rows
        if metric in row.estimates and not row.estimates[metric].missed and not row.count("failed")
    }
    if better is None or len(known) < 2:
        return {}
    sign = 1 if better == "min" else -1
    best = min(known.values(), key=lambda row: (lost(row), sign * row.estimates[metric].center))
    found: Marks = {best.row: "best"}
    tested: dict[str, float] = {}
    for label, row in known.items():
        ours, theirs = shared_values(row, best, metric, study)
        if row is best or not ours or lost(row) > lost(best):
            continue
        one = compare(ours, theirs, better == "min")
        if one.p is not None:
            tested[label] = one.p
        elif one.difference.center == 0:
            found[label] = "tied"
    for label, p in zip(tested, holm(list(tested.values())), strict=True):
        if p >= SIGNIFICANT:
            found[label] = "tied"
    return found
