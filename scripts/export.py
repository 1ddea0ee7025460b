"""Send runs to a dashboard, or write what has been measured of a suite for other tools.

`python -m scripts.export to=tensorboard`, `python -m scripts.export format=rliable`
"""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.checks import BadInput, check_value, is_path
from engine.config import compose
from engine.console import log_to_console, refuse
from engine.dashboards import dashboard_names, dashboards
from engine.launch import check_writable
from engine.loggers import Dashboard, WandbLogger, describe, describe_run, replay
from engine.overrides import only_settings, settings
from engine.progress import LINE_SECONDS
from engine.records import Record
from engine.texts import PATH_SHOWN, did_you_mean, hydra_text, shorten, spell
from results.dashboards import of_folder, of_study
from results.export import FORMS, check_some, notes, write_export
from results.measured import measure
from results.plan import find
from results.suite import find_suite
from results.wandb_report import say_report
from results.write import hash_of
from scripts.flags import quote_paths, take_config_dirs
from scripts.version import answered

COMMAND = "python -m scripts.export"

HELP = """\
Send runs that have ended to a dashboard, or write what has been measured of a suite for other
tools.

  python -m scripts.export to=wandb|trackio|tensorboard [study=PAPER/NAME] [paths.runs=runs]
                           [logger.NAME.KEY=VALUE ...]
  python -m scripts.export format=rliable|algoperf [suite=laptop] [profile=short|smoke]
                           [out=reports] [paths.runs=runs]

  to        a dashboard, which is sent the records of runs: all metrics of each evaluation,
            pictures and videos, the config, and how the run ended. What it has already is not
            sent again.
  study     only the runs of a study, under the names of its rows; without it, all in the folder
  logger.…  options of the dashboard, as in logger.wandb.project=mine

  format    rliable: a JSON file with scores by optimizer, an array of seeds × tasks each;
            algoperf: CSV files and targets for scoring.score_submissions of AlgoPerf
  suite     laptop (default), or one of your own
  profile   short (default) or smoke
  out       a folder, in which SUITE/FORMAT.PROFILE.DATA is written

With format=, those of the suite's rows are there that have ended every task, in the folder of runs
or among the committed runs, which are put there. The others are named.
--config-dir=FOLDER, several if you like, adds YAML files of your own, laid out as conf/.

Examples:
  python -m scripts.export to=tensorboard
  python -m scripts.export to=trackio study=lp_adam/fc2
  python -m scripts.export format=rliable
  python -m scripts.export format=algoperf suite=laptop out=exported
"""


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        typed = take_config_dirs(sys.argv[1:])
        if chosen(typed) == "to":
            send(*parse_to(typed))
        else:
            write(parse(typed))
    except (BadInput, OSError) as error:
        refuse(error)


def send(options: dict[str, Any], logger_options: Sequence[str]) -> None:
    """Send runs to a dashboard, and say how many there are and how to look at them.

    Raises:
        BadInput: there are none, or the dashboard cannot take them.
    """
    name, runs = options["to"], Path(options["paths.runs"])
    if not runs.is_dir():
        raise BadInput(f"paths.runs={shorten(str(runs), PATH_SHOWN)}: there is no such folder")
    paths = f"paths.runs={hydra_text(str(runs))}"
    dashboard = dashboards(compose([f"logger={name}", paths, *logger_options]))[name]
    results = []
    if options["study"]:
        records, open_runs, results = of_study(find(options["study"]), runs)
    else:
        records, open_runs = of_folder(runs)
    if not records:
        of = f"study {options['study']}" if options["study"] else "all runs"
        raise BadInput(f"{of}: none has ended in {shorten(str(runs), PATH_SHOWN)}")
    with in_a_sentence(name):
        there = dashboard.logged(record.folder for record in records)
    new = [record for record in records if record.id not in there]
    send_all(new, name, dashboard)
    others = f", {open_runs} not ended" if open_runs else ""
    print(f"{name}: {len(new)} sent, {len(there)} there before{others}")
    with in_a_sentence(name):
        print(dashboard.opened(runs))
        if isinstance(dashboard, WandbLogger):
            say_report(results, dashboard)


@contextmanager
def in_a_sentence(name: str) -> Iterator[None]:
    """Raise BadInput where a dashboard raises anything."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"to={name}: {describe(error)}") from error


def send_all(records: Sequence[Record], name: str, dashboard: Dashboard) -> None:
    """Raise BadInput where the dashboard cannot take a run."""
    said = time.monotonic()
    for count, record in enumerate(records):
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            print(f"{name}: {count} of {len(records)} sent", flush=True)
        try:
            info = describe_run(record.folder, record.config, record.environment)
            replay(record, info, dashboard)
        except KeyboardInterrupt:
            print(f"{name}: {count} sent; give the same command again to go on", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except Exception as error:
            raise BadInput(
                f"to={name}: {count} sent, then run {record.id}: {describe(error)}"
            ) from error


def write(options: dict[str, Any]) -> None:
    runs, out, form = Path(options["paths.runs"]), Path(options["out"]), options["format"]
    suite = find_suite(options["suite"])
    check_writable(str(out), "out")
    measured = measure(suite, options["profile"], runs)
    check_some(measured)
    path = write_export(measured, form, out, hash_of(runs))
    for note in notes(measured, form):
        print(note)
    print(f"{', '.join(measured.rows)} on {len(measured.tasks)} tasks: {path}")


def chosen(typed: Sequence[str]) -> str:
    """Whether runs are sent to a dashboard, "to", or files written, "format".

    Raises:
        BadInput: neither is typed, or both.
    """
    settings(typed, {}, COMMAND)  # refuses what is no KEY=VALUE
    ways = [key for key in ("to", "format") if any(text.startswith(f"{key}=") for text in typed)]
    if len(ways) == 1:
        return ways[0]
    given = "cannot both be given" if ways else "is missing"
    which = "to=, format=:" if ways else "to= or format="
    raise BadInput(
        f"{which} {given}: to=NAME sends runs to a dashboard, one of "
        f"{', '.join(dashboard_names())}; format=NAME writes files, one of "
        f"{', '.join(FORMS)}"
    )


def parse_to(typed: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Which runs are sent where, and the options of the dashboard.

    Raises:
        BadInput: something else is typed, or a value is not allowed.
    """
    defaults = {"to": "", "study": "", "paths.runs": "runs"}
    options, others = settings(typed, defaults, COMMAND)
    for text in others:
        if not text.startswith("logger."):
            only_settings([text], defaults | {"logger.NAME.KEY": ""}, f"{COMMAND} to=…")
    check_value("paths.runs", options["paths.runs"])
    name, known = spell(options["to"]), dashboard_names()
    if name not in known:
        raise BadInput(f"to={name}{did_you_mean(name, known)}: must be one of {', '.join(known)}")
    return options | {key: spell(options[key]) for key in ("to", "study")}, others


def parse(typed: Sequence[str]) -> dict[str, Any]:
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
    options = only_settings(typed, defaults, COMMAND)
    form = spell(options["format"])
    if form not in FORMS:
        raise BadInput(
            f"format={form}{did_you_mean(form, FORMS)}: must be one of {', '.join(FORMS)}"
        )
    for key in ("profile", "paths.runs"):
        check_value(key, options[key])
    if not is_path(options["out"]):
        raise BadInput(f"out={spell(options['out'])}: must be the path of a folder")
    return options | {"format": form, "suite": spell(options["suite"])}


if __name__ == "__main__":
    main()
