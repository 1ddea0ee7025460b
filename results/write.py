"""The files that report on a folder of runs: tables and figures of its studies, and the page."""

import itertools
import logging
from pathlib import Path

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.records import Record, read_all
from engine.texts import hydra_text
from results.analysis import Result
from results.plan import Plan, Shelf, all_studies, result_of
from results.rendered import current, hash_source, write
from results.report import PAGE, name_of, render_page, render_study
from results.study import Study

HERE = Path(__file__).resolve().parents[1]

log = logging.getLogger("adamily")


def hash_of(runs: Path) -> str:
    """The hash of all that reports over a folder of runs are made from."""
    return hash_source(runs, [HERE / "engine", HERE / "results", *search_path.folders()])


def write_all(runs: Path, reports: Path) -> Path:
    """Write the files of every study that has runs in `runs`, and the page; return its path."""
    source = hash_of(runs)
    studies, results, records = collect(runs)
    for result in results:
        write(reports, name_of(result), source, render_study(result))
    [page] = write(reports, PAGE, source, render_page(studies, results, records.values()))
    return page


def write_swept(
    swept: Plan, result: Result, source: str, runs: Path, reports: Path
) -> tuple[list[Path], Path]:
    """Write the files of the study that was swept, and the page, unless they are current.

    Args:
        swept: the study's runs.
        result: what their table says.
        source: `hash_of` the runs, taken before the result was.
        runs: the folder of runs.
        reports: the folder of reports.

    Returns:
        The paths of the study's files, and the path of the page.

    Raises:
        OSError: a file could not be written.
    """
    # A study with changes is only on the page that its own sweep writes.
    changed = not swept.is_of(swept.study, swept.profile, swept.data)
    page_source = " ".join([source, name_of(result)]) if changed else source
    files, page = current(reports, name_of(result), source), current(reports, PAGE, page_source)
    if not files:
        files = write(reports, name_of(result), source, render_study(result))
    if not page:
        studies, results, records = collect(runs, swept)
        results += [result] if changed else []
        page = write(reports, PAGE, page_source, render_page(studies, results, records.values()))
    return files, page[0]


def collect(
    runs: Path, swept: Plan | None = None
) -> tuple[list[Study], list[Result], dict[str, Record]]:
    """All studies, those results of theirs that a folder of runs has, and its runs."""
    records = read_all(runs)
    studies = all_studies()
    results: list[Result] = []
    shelf: Shelf = {}
    for study in studies:
        for profile, data in variants(study, records):
            # A plan takes seconds to compose: where there is one already, it is used.
            if swept and swept.is_of(study, profile, data):
                result = swept.result(records)
            else:
                result = result_or_none(study, profile, data, records, runs, shelf)
            if result and result.records:
                results.append(result)
    return studies, results, records


def result_or_none(
    study: Study, profile: str, data: str, records: dict[str, Record], runs: Path, shelf: Shelf
) -> Result | None:
    """What the table says; None, with a warning, where a config of the study is wrong."""
    try:
        shared = [f"paths.runs={hydra_text(str(runs))}"]
        return result_of(study, profile, data, records, shared, shelf)
    except BadInput as error:
        log.warning("study %s, profile %s: its table is left out: %s", study.name, profile, error)
        return None


def variants(study: Study, records: dict[str, Record]) -> list[tuple[str, str]]:
    """The profiles and data sources of which the study may have a run."""
    tasks = {settings.get("task") for settings in study.columns.values()}
    recorded = {
        (record.config["profile"], record.config["data"])
        for record in records.values()
        if record.config["names"]["task"] in tasks
    }
    return [pair for pair in itertools.product(study.profiles, SOURCES) if pair in recorded]
