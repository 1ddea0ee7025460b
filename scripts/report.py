"""Write the tables and figures of all studies and the page over all runs.

`python -m scripts.report`
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from engine.checks import BadInput, check_value, is_flag
from engine.console import log_to_console, refuse
from engine.launch import check_writable
from engine.overrides import only_settings
from engine.shared import make_folder
from engine.texts import PATH_SHOWN, did_you_mean, shorten, spell
from results.kept import is_kept
from results.report import PAGE
from results.watched import follow, serving
from results.write import hash_of, write_all
from results.write_kept import hash_of_kept, write_kept
from scripts.flags import quote_paths, take_config_dirs
from scripts.version import answered

HELP = """\
Write every study's table and figures and one page over all studies and runs, from the records.

  python -m scripts.report [paths.runs=runs] [paths.reports=reports] [figures=camera_ready]
                           [watch=true]

watch=true serves the page on this machine alone, says at which address, writes all anew as runs
change, at most once a minute, and loads the page anew where it is open, until Ctrl-C.

The page, reports/index.html, opens from disk without a network.
paths.runs may be a folder of kept results, too, as results/reproduced is: their tables and figures
are made from their records, without a run.
figures=camera_ready leaves out of pictures what a paper says in its caption: title, statistic and
where they come from.
--config-dir=FOLDER, several if you like, adds studies of your own, laid out as conf/.

Examples:
  python -m scripts.report
  python -m scripts.report paths.runs=runs paths.reports=reports
  python -m scripts.report paths.runs=results/reproduced paths.reports=reports/reproduced
  python -m scripts.report paths.reports=paper figures=camera_ready
  python -m scripts.report watch=true
"""

FIGURES = ("report", "camera_ready")


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        settings = parse(take_config_dirs(sys.argv[1:]))
        runs, reports = Path(settings["paths.runs"]), Path(settings["paths.reports"])
        if not runs.is_dir():
            raise BadInput(f"paths.runs={shorten(str(runs), PATH_SHOWN)}: there is no such folder")
        check_writable(str(reports), "paths.reports")
        camera_ready = settings["figures"] == "camera_ready"
        if is_kept(runs) and reports.resolve() == runs.resolve():
            raise BadInput("paths.reports is the folder of kept results: give another one")
        write, hashed = (write_kept, hash_of_kept) if is_kept(runs) else (write_all, hash_of)
        if settings["watch"]:
            watch(partial(write, runs, reports, camera_ready), partial(hashed, runs), reports)
        else:
            print(f"Page: {write(runs, reports, camera_ready)}")
    except (BadInput, OSError) as error:
        refuse(error)


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """The folders of runs and of reports, which figures to draw, and whether to go on.

    Raises:
        BadInput: something else is typed.
    """
    defaults = {"paths.runs": "runs", "paths.reports": "reports", "figures": "report"}
    settings = only_settings(arguments, defaults | {"watch": False}, "python -m scripts.report")
    if (figures := settings["figures"]) not in FIGURES:
        shown = f"figures={shorten(spell(figures))}{did_you_mean(figures, FIGURES)}"
        raise BadInput(f"{shown}: must be one of {', '.join(FIGURES)}")
    for key in ("paths.runs", "paths.reports"):
        check_value(key, settings[key])
    if not is_flag(settings["watch"]):
        raise BadInput(f"watch={spell(settings['watch'])}: must be true or false")
    return settings


def watch(write: Callable[[], Path], hashed: Callable[[], str], reports: Path) -> None:
    """Serve the page, and write all anew as the hash of what it is made from changes."""

    def render() -> None:
        write()
        print(f"Page written at {datetime.now():%H:%M:%S}", flush=True)

    make_folder(reports)
    with serving(reports) as address:
        print(f"The page is at {address} until Ctrl-C", flush=True)
        try:
            follow(hashed, render, time.sleep)
        except KeyboardInterrupt:
            print(f"\nstopped; the page is {reports / PAGE}")


if __name__ == "__main__":
    main()
