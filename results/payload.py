"""Studies as the page reads them: tables, curves, what settings do, and figures."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.metrics import find_metric, in_order, metric_named
from engine.records import Record
from results import curves, table
from results.analysis import Result, Row, warnings
from results.paired import against_reference
from results.paper_table import paper_table
from results.payload_runs import rounded, thin
from results.published import published
from results.smoothing import remark
from results.study import Figure, Study
from results.style import Look, looks, ramp

# Names of files by what they begin with.
Files = Mapping[str, Sequence[str]]

DIGITS = 5  # of what is drawn


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


def study_payload(
    study: Study, results: Sequence[Result], places: Mapping[str, int], files: Files
) -> dict[str, Any]:
    """A study and what runs of it say.

    Args:
        study: that is shown, whether it has runs or not.
        results: its, one for each profile and data source.
        places: of the page's runs by their ids.
        files: of each result by its `name_of`, as the folder of reports has them.
    """
    paper = published(study.paper)
    return {
        "name": study.name,
        "title": study.title,
        "paper": study.paper,
        "citation": f"{paper['authors']}, “{paper['title']}”" if paper["authors"] else "",
        "reproduces": study.reproduces,
        "notes": [*study.notes_on(study.columns), table.how_chosen(study)],
        "metrics": list(dict.fromkeys([study.select.metric, *study.report])),
        "profiles": {profile: study.count(profile) for profile in study.profiles},
        "looks": looks_payload(looks(study.rows)),
        "variants": [
            variant_payload(result, places, files.get(f"{study.folder}/{result.name}", ()))
            for result in results
        ],
    }


def looks_payload(found: Mapping[str, Look]) -> dict[str, list[str]]:
    """The colours on a light and on a dark ground, the dash and the marker of each."""
    return {name: [look.light, look.dark, look.dash, look.marker] for name, look in found.items()}


def variant_payload(
    result: Result, places: Mapping[str, int], files: Sequence[str]
) -> dict[str, Any]:
    ids = [record.id for record in result.records]
    found = [places[id] for id in ids if id in places]
    searched = [f"search={result.search}"] if result.search else []
    return {
        "profile": " ".join([result.profile, *searched, *result.changes]),
        "data": result.data,
        "status": status_payload(result),
        "paper_table": paper_table(result),
        "files": list(files),
        "table": table_payload(table.tabulate(result)),
        "against_reference": [table_payload(tabulated) for tabulated in against_reference(result)],
        "warnings": warnings(result),
        "hardware": table.hardware_of(result),
        "commits": table.commits_of(result),
        "command": result.command,
        "curves": [
            payload
            for row in result.rows
            if row.best and (payload := curves_payload(row, result.study))["metrics"]
        ],
        "figures": figure_payloads(result),
        "sensitivity": [
            sensitivity_payload(row, key, result.study)
            for row in result.rows
            if row.best
            for key in row.best.values
            if len({str(point.values[key]) for point in row.points}) > 1
        ],
        "runs": found,
        "absent": len(ids) - len(found),
    }


def status_payload(result: Result) -> dict[str, int]:
    """How far the rows are that have a run; of the others, nobody has asked for any yet."""
    begun = [row for row in result.rows if any(point.records for point in row.all_points)]
    counts = {
        status: sum(row.count(status) for row in begun)
        for status in ("finished", "diverged", "failed")
    }
    return {
        "planned": sum(row.planned for row in begun),
        **counts,
        "cut": sum(row.cut for row in begun),
        "not_begun": len(result.rows) - len(begun),
        "rows": len(result.rows),
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
        "batch": row.shown.records[0].config["task"].get("batch_size"),
        "metrics": {
            metric: {
                "step": drawn(band.x),
                "mean": drawn(band.mean),
                "low": drawn(band.low),
                "high": drawn(band.high),
                "seeds": band.seeds,
            }
            for metric, band in bands.items()
            if band
        },
    }


def sensitivity_payload(row: Row, key: str, study: Study) -> dict[str, Any]:
    records = [record for point in row.points for record in point.records]
    # Of records that are kept without curves, too.
    metrics = in_order(name for record in records for name in record.summary.get("final", {}))
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
                "mean": list(map(short_number, band.mean)),
                "low": list(map(short_number, band.low)),
                "high": list(map(short_number, band.high)),
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
            if figure.lines is not None:
                payload["looks"] = ramp_payload(payload["lines"])
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
        {"row": row, "column": column, "x": drawn(line.x), "mean": drawn(line.mean)}
        for column, lines in curves.lines_of(result, figure).items()
        for row, line in lines.items()
    ]


def ramp_payload(lines: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Looks of the values of a key of the grid, which are no optimizers."""
    names = list(dict.fromkeys(line["row"] for line in lines))
    return looks_payload(dict(zip(names, ramp(len(names)), strict=True)))


def drawn(points: Sequence[Any]) -> list[Any]:
    return [short_number(point) for point in thin(points)]


def short_number(value: Any) -> Any:
    return rounded(value, DIGITS)
