"""Write the tables and figures of all studies and the page over all runs.

`python -m scripts.report`
"""

import itertools
import logging
import sys
from pathlib import Path

from results.analysis import Result
from results.records import Record, read_all
from results.report import PAGE, files_of, write_report, write_study
from results.study import Study, spell
from scripts.checks import SOURCES, BadInput
from scripts.console import log_to_console, refuse
from scripts.launch import check_writable
from scripts.studies import Plan, all_studies, plan, read_planned

log = logging.getLogger("adamily")

HELP = """\
Write every study's table and figures and one page over all studies and runs, from the records.

  python -m scripts.report [paths.runs=runs] [paths.reports=reports]

The page, reports/index.html, opens from disk without a network.

Examples:
  python -m scripts.report
  python -m scripts.report paths.runs=runs paths.reports=reports
"""


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    log_to_console()
    try:
        paths = parse(sys.argv[1:])
        runs = Path(paths["paths.runs"])
        if not runs.is_dir():
            raise BadInput(f"paths.runs={runs}: there is no such folder")
        check_writable(paths["paths.reports"], "paths.reports")
        print(f"Page: {write_all(runs, Path(paths['paths.reports']))}")
    except (BadInput, OSError) as error:
        refuse(error)


def parse(arguments: list[str]) -> dict[str, str]:
    paths = {"paths.runs": "runs", "paths.reports": "reports"}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in paths:
            raise BadInput(f"{argument}: must be one of {', '.join(paths)}, as KEY=VALUE")
        paths[key] = value
    return paths


def write_all(runs: Path, reports: Path) -> Path:
    """Write the files of every study that has runs in `runs`, and the page; return its path."""
    studies, results, records = collect(runs)
    for result in results:
        write_study(result, reports)
    return write_report(studies, results, records.values(), reports)


def write_swept(swept: Plan, runs: Path, reports: Path) -> tuple[Result, list[Path], Path]:
    """Write the files of the study that was swept, and the page, where runs are newer.

    Returns:
        The study's result, the paths of its files, and the path of the page.
    """
    result = swept.result(read_planned(swept))
    page = reports / PAGE
    if is_current(result, page) and files_of(result, reports):
        return result, files_of(result, reports), page
    studies, results, records = collect(runs, swept)
    if swept.changes:
        results.append(result)
    write_study(result, reports)
    write_report(studies, results, records.values(), reports)
    return result, files_of(result, reports), page


def is_current(result: Result, page: Path) -> bool:
    """Whether the page, which is written last, is newer than every run of a study."""
    if not page.exists():
        return False
    ends = [record.folder / "summary.json" for record in result.records]
    return all(end.exists() and end.stat().st_mtime < page.stat().st_mtime for end in ends)


def collect(
    runs: Path, swept: Plan | None = None
) -> tuple[list[Study], list[Result], dict[str, Record]]:
    """All studies, the results that there are of them in a folder of runs, and its runs."""
    records = read_all(runs)
    studies = all_studies()
    results = []
    for study in studies:
        for profile, data in variants(study, records):
            wanted = (study.name, profile, data, ())
            # A plan takes seconds to compose, so that of the sweep serves again.
            if swept and (swept.study.name, swept.profile, swept.data, swept.changes) == wanted:
                planned = swept
            else:
                planned = planned_or_none(study, profile, data, runs)
            result = planned.result(records) if planned else None
            if result and result.records:
                results.append(result)
    return studies, results, records


def planned_or_none(study: Study, profile: str, data: str, runs: Path) -> Plan | None:
    """The plan; None, with a warning, where the study sets what cannot be."""
    try:
        return plan(study, profile, data, [f"paths.runs={spell(str(runs))}"])
    except BadInput as error:
        log.warning("study %s, profile %s: its table is left out: %s", study.name, profile, error)
        return None


def variants(study: Study, records: dict[str, Record]) -> list[tuple[str, str]]:
    """Profiles and data sources of which there may be a run."""
    tasks = {settings.get("task") for settings in study.columns.values()}
    there = {
        (record.config["profile"], record.config["data"])
        for record in records.values()
        if record.config["names"]["task"] in tasks
    }
    return [pair for pair in itertools.product(study.profiles, SOURCES) if pair in there]


if __name__ == "__main__":
    main()
