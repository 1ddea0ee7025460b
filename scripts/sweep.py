"""Run what a study still misses, and render it: `python -m scripts.sweep study=P/N profile=P`."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import interrupt, world
from engine.checks import BadInput, is_flag
from engine.console import log_to_console, refuse
from engine.overrides import settings
from engine.ready import leave
from engine.run import Run
from engine.texts import spell
from results.markup import markdown
from results.plan import find
from results.study import PROFILES
from results.sweep import Sweep, make_sweep
from scripts.flags import check_own_keys, quote_paths, take_config_dirs
from scripts.version import answered
from tasks.sources import DataError

HELP = """\
Run the runs that a study still misses, then write its table, its figures and the page.

  python -m scripts.sweep study=PAPER/NAME profile=smoke|short|paper [data=full|sample]
                          [search=grid|halving|extend] [dry_run=true] [KEY=VALUE ...]

  study     one of those that python -m scripts.list studies shows
  profile   paper: the budget as printed; short: hours on one GPU; smoke: minutes on two CPU cores
  data      full (default): the data set itself; sample: real data of the same kind, small
  search    instead of the study's own: grid: all points to their ends; halving: all for a part of
            their steps, the better ones further; extend: past the edge, until the best lies inside
  dry_run   true: only say what would run, and about how long it would take; with verbose=true run
            by run

KEY=VALUE,VALUE,... stands in the place of a grid, in every row: optim.lr=1e-4,1e-3,1e-2.

Any other KEY=VALUE goes to every run: train.device=cuda:1, logger=none, paths.runs=elsewhere,
sweep.jobs_per_device=2 (runs that share a device; by itself a GPU has one, and the CPU one for each
core, of one thread), sweep.devices_per_run=2 (devices that share a run), hydra/launcher=ray or
submitit_slurm with hydra.launcher.… settings.

--config-dir=FOLDER, several if you like, adds YAML files of your own, laid out as conf/.

Examples:
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample dry_run=true
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample search=halving
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample sweep.jobs_per_device=1
"""


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        world.check_one_run("scripts.sweep")
        options, overrides = parse(take_config_dirs(sys.argv[1:]))
        arguments = (find(options["study"]), options["profile"], options["data"])
        sweep = make_sweep(
            *arguments, overrides, None if options["search"] == {} else options["search"]
        )
        if options["dry_run"]:
            from results.preview import preview  # imports torch

            print(preview(sweep.plan, options["verbose"]))
            return
        sweep.prepare()
        runs = sweep.run()
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    finish(sweep, runs)


def parse(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split the command line into what the sweep reads itself and what goes to every run.

    Raises:
        BadInput: an argument is no KEY=VALUE, or a value is not allowed.
    """
    defaults = {"study": "", "profile": "", "data": "full", "search": {}}
    defaults |= {"dry_run": False, "verbose": False}
    options, shared = settings(arguments, defaults, "python -m scripts.sweep")
    for key in ("dry_run", "verbose"):
        if not is_flag(options[key]):
            raise BadInput(f"{key}={spell(options[key])}: must be true or false")
    check_own_keys(shared, defaults, "python -m scripts.sweep")
    for key in ("study", "profile", "data"):
        options[key] = spell(options[key])
    if not options["study"]:
        raise BadInput(
            "study= is missing: write study=PAPER/NAME, as in study=lp_adam/fc2; "
            "python -m scripts.list studies shows all"
        )
    if not options["profile"]:
        raise BadInput(
            f"profile= is missing: write one of {', '.join(PROFILES)}, as in profile=smoke; "
            "python -m scripts.list studies shows how many runs each is"
        )
    return options, shared


def finish(sweep: Sweep, runs: Sequence[Run]) -> None:
    """Print the table, write what there is, and exit.

    Args:
        sweep: that was carried out.
        runs: all that it asked for.
    """
    if not interrupt.received():
        try:
            paths, page = show(sweep)
        except (BadInput, OSError) as error:
            refuse(f"the runs have ended, but not all can be rendered: {error}")
        print(f"Table and figures: {', '.join(map(str, paths))}")
        print(f"Page: {page}")
    elif any(run.begun or run.ended for run in runs):
        # Another Ctrl-C leaves it as it was.
        with suppress(BadInput, OSError, KeyboardInterrupt):
            print(f"Page, so far: {sweep.write_page()}")
    leave(runs)


def show(sweep: Sweep) -> tuple[list[Path], Path]:
    """Print the tables, and write the study's files and the page where something has changed."""
    if rendered := sweep.rendered():
        text, files, page = rendered
        print(f"\n{text}")
        return files, page
    from results.report import tables_of

    result, source = sweep.read()
    print("\n" + "\n".join(map(markdown, tables_of(result))), flush=True)
    return sweep.write(result, source)


if __name__ == "__main__":
    main()
