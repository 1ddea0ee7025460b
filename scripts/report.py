"""Write the tables and figures of all studies and the page over all runs.

`python -m scripts.report`
"""

import itertools
import sys
from pathlib import Path

from results.analysis import Result
from results.records import Record, read_all
from results.report import write_report, write_study
from results.study import Study
from scripts.checks import SOURCES, BadInput
from scripts.console import log_to_console, refuse
from scripts.launch import check_writable
from scripts.studies import all_studies, plan

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
        check_writable(paths["paths.reports"], "paths.reports")
        runs = Path(paths["paths.runs"])
        if not runs.is_dir():
            raise BadInput(f"paths.runs={runs}: there is no such folder")
        print(f"Page: {write_page(runs, Path(paths['paths.reports']), tables=True)}")
    except BadInput as error:
        refuse(error)


def parse(arguments: list[str]) -> dict[str, str]:
    paths = {"paths.runs": "runs", "paths.reports": "reports"}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in paths:
            raise BadInput(f"{argument}: must be one of {', '.join(paths)}, as KEY=VALUE")
        paths[key] = value
    return paths


def write_page(runs: Path, reports: Path, tables: bool = False) -> Path:
    """Write the page over all runs in `runs`, and with `tables` also every study's files."""
    records = read_all(runs)
    studies = all_studies()
    results = [result for study in studies for result in results_of(study, records, runs)]
    if tables:
        for result in results:
            write_study(result, reports)
    return write_report(studies, results, records.values(), reports)


def results_of(study: Study, records: dict[str, Record], runs: Path) -> list[Result]:
    """A study's results for each profile and data source of which there is a run."""
    tasks = {settings.get("task") for settings in study.columns.values()}
    there = {
        (record.config["profile"], record.config["data"])
        for record in records.values()
        if record.config["names"]["task"] in tasks
    }
    results = []
    for profile, data in itertools.product(study.profiles, SOURCES):
        if (profile, data) not in there:
            continue
        result = plan(study, profile, data, [f"paths.runs={runs}"]).result(records)
        if result.records:
            results.append(result)
    return results


if __name__ == "__main__":
    main()
