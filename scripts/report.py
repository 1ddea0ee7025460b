"""Write the tables and figures of all studies and the page over all runs.

`python -m scripts.report`
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from engine.checks import BadInput, check_value
from engine.console import log_to_console, refuse
from engine.launch import check_writable
from engine.overrides import only_settings
from engine.texts import PATH_SHOWN, shorten
from results.write import write_all
from scripts.flags import quote_paths, take_config_dirs
from scripts.version import answered

HELP = """\
Write every study's table and figures and one page over all studies and runs, from the records.

  python -m scripts.report [paths.runs=runs] [paths.reports=reports]

The page, reports/index.html, opens from disk without a network.
--config-dir=FOLDER, several if you like, adds studies of your own, laid out as conf/.

Examples:
  python -m scripts.report
  python -m scripts.report paths.runs=runs paths.reports=reports
"""


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        paths = parse(take_config_dirs(sys.argv[1:]))
        runs = Path(paths["paths.runs"])
        if not runs.is_dir():
            raise BadInput(f"paths.runs={shorten(str(runs), PATH_SHOWN)}: there is no such folder")
        check_writable(paths["paths.reports"], "paths.reports")
        print(f"Page: {write_all(runs, Path(paths['paths.reports']))}")
    except (BadInput, OSError) as error:
        refuse(error)


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """The folders of runs and of reports.

    Raises:
        BadInput: something else is typed.
    """
    defaults = {"paths.runs": "runs", "paths.reports": "reports"}
    paths = only_settings(arguments, defaults, "python -m scripts.report")
    for key, path in paths.items():
        check_value(key, path)
    return paths


if __name__ == "__main__":
    main()
