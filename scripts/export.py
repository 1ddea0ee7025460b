"""What has been measured of a suite, for other tools. `python -m scripts.export format=rliable`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.checks import BadInput, check_value, is_path
from engine.console import log_to_console, refuse
from engine.launch import check_writable
from engine.overrides import only_settings
from engine.texts import spell
from results.export import FORMS, check_some, notes, write_export
from results.measured import measure
from results.suite import find_suite
from results.write import hash_of
from scripts.flags import quote_paths, take_config_dirs
from scripts.version import answered

HELP = """\
Write what has been measured of a suite's optimizers in the form that another tool reads.

  python -m scripts.export format=rliable|algoperf [suite=laptop] [profile=short|smoke]
                           [out=reports] [paths.runs=runs]

  format    rliable: a JSON file with scores by optimizer, an array of seeds × tasks each;
            algoperf: CSV files and targets for scoring.score_submissions of AlgoPerf
  suite     laptop (default), or one of your own
  profile   short (default) or smoke
  out       a folder, in which SUITE/FORMAT.PROFILE.DATA is written

Of the suite's rows, those are there that have ended every task, in the folder of runs or among the
committed runs, which are put there. The others are named.
--config-dir=FOLDER, several if you like, adds YAML files of your own, laid out as conf/.

Examples:
  python -m scripts.export format=rliable
  python -m scripts.export format=algoperf suite=laptop out=exported
"""


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        options = parse(take_config_dirs(sys.argv[1:]))
        runs, out, form = Path(options["paths.runs"]), Path(options["out"]), options["format"]
        suite = find_suite(options["suite"])
        check_writable(str(out), "out")
        measured = measure(suite, options["profile"], runs)
        check_some(measured)
        path = write_export(measured, form, out, hash_of(runs))
    except (BadInput, OSError) as error:
        refuse(error)
    for note in notes(measured, form):
        print(note)
    print(f"{', '.join(measured.rows)} on {len(measured.tasks)} tasks: {path}")


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What is to be written, and where.

    Raises:
        BadInput: something else is typed, or a value is not allowed.
    """
    defaults = {
        "format": "",
        "suite": "laptop",
        "profile": "short",
        "out": "reports",
        "paths.runs": "runs",
    }
    options = only_settings(arguments, defaults, "python -m scripts.export")
    if options["format"] not in FORMS:
        raise BadInput(f"format={spell(options['format'])}: must be one of {', '.join(FORMS)}")
    for key in ("profile", "paths.runs"):
        check_value(key, options[key])
    if not is_path(options["out"]):
        raise BadInput(f"out={spell(options['out'])}: must be the path of a folder")
    return options | {"suite": spell(options["suite"])}


if __name__ == "__main__":
    main()
