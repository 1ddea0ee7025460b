"""Run what a study still misses, and render it: `python -m scripts.sweep study=P/N profile=P`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.table import markdown, tabulate
from scripts import distributed, interrupt
from scripts.checks import BadInput, is_flag, spell
from scripts.console import log_to_console, refuse
from scripts.launch import check_writable, launcher_settings, release_workers, say_how, trains_here
from scripts.overrides import is_hydras, settings
from scripts.paths import quote_paths
from scripts.preview import preview
from scripts.ready import check_ready, leave, prepare
from scripts.report import hash_of, write_swept
from scripts.rounds import run_all
from scripts.studies import Plan, find, plan, read_planned
from scripts.train import job
from tasks.sources import DataError

HELP = """\
Run the runs that a study still misses, then write its table, its figures and the page.

  python -m scripts.sweep study=PAPER/NAME profile=smoke|short|paper [data=full|sample]
                          [dry_run=true] [KEY=VALUE ...]

  study     one of those that python -m scripts.list studies shows
  profile   paper: the budget as printed; short: hours on one GPU; smoke: minutes on two CPU cores
  data      full (default): the data set itself; sample: real data of the same kind, small
  dry_run   true: only say what would run, and about how long it would take

Any other KEY=VALUE goes to every run: train.device=cuda:1, logger=none, paths.runs=elsewhere,
sweep.jobs_per_device=2 (runs that share a device; by itself a GPU has one, and the CPU one for each
core, of one thread), sweep.devices_per_run=2 (devices that share a run), hydra/launcher=ray or
submitit_slurm with hydra.launcher.… settings.

Examples:
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample dry_run=true
  python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample sweep.jobs_per_device=1
"""


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    log_to_console()
    quote_paths()
    try:
        distributed.check_one_run("scripts.sweep")
        asked, shared = parse(sys.argv[1:])
        wanted = plan(find(asked["study"]), asked["profile"], asked["data"], without_hydra(shared))
        runs = wanted.runs
        configs = [planned.config for planned in runs]
        for_launcher = [o for o in shared if is_hydras(o)]
        for_launcher += launcher_settings(shared, configs[0], len(runs))
        check_writable(configs[0]["paths"]["reports"], "paths.reports")
        check_ready(configs, trains_here(shared))
        if asked["dry_run"]:
            print(preview(wanted))
            return
        prepare(configs)
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    ended = sum(planned.run.ended for planned in runs)
    print(f"{wanted.study.name}: {len(runs)} runs, {ended} ended before", flush=True)
    if ended < len(runs):
        say_how(shared, runs[0].config, len(runs) - ended)
    with interrupt.told_to_workers():
        run_all(job, for_launcher, [(planned.run, planned.overrides) for planned in runs])
    release_workers(shared)
    finish(wanted)


def parse(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split the command line into what the sweep reads itself and what goes to every run.

    Raises:
        BadInput: an argument is no KEY=VALUE, or a value is not allowed.
    """
    defaults = {"study": "", "profile": "", "data": "full", "dry_run": False}
    asked, shared = settings(arguments, defaults, "python -m scripts.sweep")
    if not is_flag(asked["dry_run"]):
        raise BadInput(f"dry_run={spell(asked['dry_run'])}: must be true or false")
    for key in ("study", "profile", "data"):
        asked[key] = spell(asked[key])
    return asked, shared


def without_hydra(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not is_hydras(override)]


def finish(wanted: Plan) -> None:
    """Print the table, write what there is, and exit."""
    if not interrupt.received():
        paths = wanted.runs[0].config["paths"]
        runs, reports = Path(paths["runs"]), Path(paths["reports"])
        source = hash_of(runs)
        result = wanted.result(read_planned(wanted))
        print(f"\n{markdown(tabulate(result))}", flush=True)
        try:
            written, page = write_swept(wanted, result, source, runs, reports)
        except (BadInput, OSError) as error:
            refuse(f"the runs have ended, but not all can be rendered: {error}")
        print(f"Table and figures: {', '.join(map(str, written))}")
        print(f"Page: {page}")
    leave(planned.run for planned in wanted.runs)


if __name__ == "__main__":
    main()
