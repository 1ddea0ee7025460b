"""Everything rendered: a study's table and figures as files, and the page over all runs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from engine.environment import version
from engine.metrics import in_order
from engine.records import Record
from results import figures, kept, table
from results.analysis import Result
from results.markup import latex, markdown
from results.page import page
from results.paired import against_reference
from results.payload import Files, looks_payload, metric_payload, shown_by, study_payload
from results.payload_runs import CURVE_POINTS, runs_payload
from results.study import Study
from results.style import LOOKS, Look, looks

PAGE = "index.html"


def render_study(result: Result, camera_ready: bool = False) -> dict[str, bytes]:
    """A study's table (Markdown, LaTeX, CSV), its runs (JSON lines) and figures (PNG, PDF).

    Args:
        result: what the table says.
        camera_ready: with figures as a paper has them, whose caption says the rest.

    Returns:
        The files' contents by their names, which begin with `name_of(result)`.
    """
    tables = tables_of(result)
    texts = {
        f"{result.name}.md": "\n".join(map(markdown, tables)),
        f"{result.name}.tex": "\n".join(map(latex, tables)),
        f"{result.name}.csv": table.comma_separated(result),
    }
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"{result.name}{kept.NEW}": kept.pack(result)} | figures.draw(result, camera_ready)
    return {f"{result.study.folder}/{name}": content for name, content in files.items()}


def tables_of(result: Result) -> list[table.Table]:
    """A study's table, and the one of its rows against the reference row, if it names one."""
    return [table.tabulate(result), *against_reference(result)]


def name_of(result: Result) -> str:
    """The path in the folder of reports that a study's files begin with."""
    return f"{result.study.folder}/{result.name}"


def render_page(
    studies: Sequence[Study],
    results: Iterable[Result],
    records: Iterable[Record],
    files: Files = MappingProxyType({}),
    suites: Sequence[Mapping[str, Any]] = (),
) -> dict[str, bytes]:
    """The page over all studies and runs, by its name.

    Args:
        studies: all that are listed.
        results: of those that have runs.
        records: of all runs.
        files: of the results, by `name_of`, for links beside their tables.
        suites: verdicts on optimizers, as `results.verdict_files.numbers` has them.
    """
    results = list(results)
    runs = runs_payload(records)
    places = {name: place for place, name in enumerate(runs.index["id"])}
    optims = runs.index["settings"]["optim"]["texts"] if places else []
    payload = {
        "title": "adamily",
        "version": version("adamily"),
        "generated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "curve_points": CURVE_POINTS,
        "metrics": {
            name: metric_payload(name)
            for name in in_order([*runs.index["metrics"], *shown_by(studies)])
        },
        "looks": looks_payload(optim_looks(optims)),
        "studies": [
            study_payload(study, [r for r in results if r.study.name == study.name], places, files)
            for study in studies
        ],
        "suites": list(suites),
        "runs": runs.index,
    }
    return {PAGE: page(payload, runs.curves).encode()}


def optim_looks(optims: Sequence[str]) -> dict[str, Look]:
    """Those of optimizers, and of settings that have a look of their own, as "lp_adam p=6"."""
    own = {name: look for name, look in LOOKS.items() if name.partition(" ")[0] in optims}
    return looks({name: {"optim": name} for name in optims}) | own
