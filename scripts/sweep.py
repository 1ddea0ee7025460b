"""Run what a study still misses, and render it: `python -m scripts.sweep study=P/N profile=P`."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from results.table import markdown, tabulate
from scripts import distributed, interrupt
from scripts.checks import BadInput
from scripts.console import log_to_console, refuse
from scripts.launch import (
    check_writable,
    is_hydras,
    launch,
    launcher_settings,
    say_how,
    trains_here,
)
from scripts.preview import preview
from scripts.ready import leave, make_ready
from scripts.report import hash_of, write_swept
from scripts.studies import Plan, find, plan, read_planned
from scripts.train import job
from tasks.sources import DataError

log = logging.getLogger("adamily")

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

# Of a run that dies with its worker: once more, then it counts as failed.
ATTEMPTS = 2
BUSY_POLL_SECONDS = 2.0


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    log_to_console()
    try:
        distributed.check_one_run("scripts.sweep")
        asked, shared = parse(sys.argv[1:])
        wanted = plan(find(asked["study"]), asked["profile"], asked["data"], without_hydra(shared))
        if asked["dry_run"] == "true":
            print(preview(wanted))
            return
        runs = wanted.runs
        settings = [o for o in shared if is_hydras(o)]
        settings += launcher_settings(shared, runs[0].config, len(runs))
        check_writable(runs[0].config["paths"]["reports"], "paths.reports")
        make_ready([planned.config for planned in runs], trains_here(shared))
    except (BadInput, DataError) as error:
        refuse(error)
    if not all(planned.run.ended for planned in runs):
        say_how(shared, runs[0].config, len(runs))
    with interrupt.told_to_workers():
        run_missing(wanted, settings)
    finish(wanted)


def parse(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split the command line into what the sweep reads itself and what goes to every run.

    Raises:
        BadInput: an argument is no KEY=VALUE, or a value is missing or not allowed.
    """
    asked = {"study": "", "profile": "", "data": "full", "dry_run": "false"}
    shared = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise BadInput(f"{argument}: write KEY=VALUE; see python -m scripts.sweep --help")
        if key in asked:
            asked[key] = value
        else:
            shared.append(argument)
    if asked["dry_run"] not in ("true", "false"):
        raise BadInput(f"dry_run={asked['dry_run']}: must be true or false")
    return asked, shared


def without_hydra(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not is_hydras(override)]


def run_missing(wanted: Plan, settings: list[str]) -> None:
    """Launch what has not ended until all has, or has failed in this sweep.

    Runs that another process trains are waited for, and taken over should it die.
    """
    failed: set[str] = set()
    began: Counter[str] = Counter()
    ended = sum(planned.run.ended for planned in wanted.runs)
    print(f"{wanted.study.name}: {len(wanted.runs)} runs, {ended} ended before", flush=True)
    while not interrupt.received():
        missing = [p for p in wanted.runs if p.run.id not in failed and not p.run.ended]
        free = [planned for planned in missing if not planned.run.busy]
        if not missing:
            return
        if not free:
            time.sleep(BUSY_POLL_SECONDS)
            continue
        # A worker that dies takes the other workers' runs with it. So each run that was under way
        # then is tried alone, after all others: if it dies again, that is its own doing.
        # Runs that an earlier sweep left under way come last for the same reason.
        fresh = [planned for planned in free if not began[planned.run.id]]
        batch = sorted(fresh, key=lambda planned: planned.run.begun) or free[:1]
        try:
            statuses = launch(job, settings, [planned.overrides for planned in batch])
        except Exception as error:
            if interrupt.received():  # Ctrl-C reaches workers that are not listening yet
                return
            died = {p.run.id for p in batch if p.run.begun and not p.run.busy}
            if not died:
                raise
            log.error("a worker died: %s", " ".join(str(error).split()))
            began.update(died)
            failed |= {run_id for run_id, times in began.items() if times >= ATTEMPTS}
            continue
        open_again = ("busy", "interrupted")
        failed |= {
            planned.run.id
            for planned, status in zip(batch, statuses, strict=True)
            if status not in open_again and not planned.run.ended
        }


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
