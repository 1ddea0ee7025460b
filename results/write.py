"""The files that report on a folder of runs: tables and figures of its studies, and the page."""

import itertools
import logging
from pathlib import Path

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.records import Record, read_all
from engine.texts import hydra_text
from results.analysis import Result
from results.payload_suites import suites_payload
from results.plan import Plan, all_studies, result_of
from results.planner import Shelf
from results.rendered import current, files_of, hash_source, write
from results.report import PAGE, name_of, render_page, render_study
from results.study import Study

HERE = Path(__file__).resolve().parents[1]

log = logging.getLogger("adamily")


def hash_of(runs: Path) -> str:
    """The hash of all that reports over a folder of runs are made from."""
    return hash_source(runs, [HERE / "engine", HERE / "results", *search_path.folders()])


def write_all(runs: Path, reports: Path, camera_ready: bool = False) -> Path:
    """Write the files of every study that has runs in `runs`, and the page; return its path."""
    source = f"{hash_of(runs)}{' camera_ready' if camera_ready else ''}"
    studies, results, records = collect(runs)
    for result in results:
        write(reports, name_of(result), source, render_study(result, camera_ready))
    content = page_of(studies, results, records, reports)
    [page] = write(reports, PAGE, source, content)
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
    files, page = current_files(swept, source, reports)
    if not files:
        files = write(reports, name_of(result), source, render_study(result))
    if not page:
        page = [write_page(swept, result, source, runs, reports)]
    return files, page[0]


def current_files(swept: Plan, source: str, reports: Path) -> tuple[list[Path], list[Path]]:
    """The study's files, and the page, as far as they are current."""
    files = current(reports, name_of(swept.blank), source)
    return files, current(reports, PAGE, page_source(swept, source))


def page_source(swept: Plan, source: str) -> str:
    """A study with changes is only on the page that its own sweep writes."""
    return f"{source} {name_of(swept.blank)}" if is_changed(swept) else source


def is_changed(swept: Plan) -> bool:
    return not swept.is_of(swept.study, swept.profile, swept.data)


def write_page(swept: Plan, result: Result, source: str, runs: Path, reports: Path) -> Path:
    """Write the page alone; return its path."""
    studies, results, records = collect(runs, swept)
    results += [result] if is_changed(swept) else []
    content = page_of(studies, results, records, reports)
    [page] = write(reports, PAGE, page_source(swept, source), content)
    return page


def page_of(
    studies: list[Study], results: list[Result], records: dict[str, Record], reports: Path
) -> dict[str, bytes]:
    """The page, with links to what lies in the folder of reports, and its verdicts."""
    files = files_of(reports)
    suites = suites_payload(reports, files)
    return render_page(studies, results, records.values(), files, suites)


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
