"""Train one optimizer on one task, and keep the run: `python -m scripts.train task=T optim=O`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import hydra

from engine import interrupt, parallel, search_path, world
from engine.checks import BadInput
from engine.config import compose, hydra_of
from engine.console import log_to_console, refuse
from engine.dashboards import names_of, say_not_logged, shown_as
from engine.execute import execute
from engine.job import job
from engine.launch import launcher_settings, say_how, trains_here
from engine.overrides import expand, is_hydras
from engine.ready import check_ready, check_records, leave, prepare
from engine.rounds import run_all
from engine.run import Run
from engine.texts import hydra_text
from scripts.flags import only_shows, quote_paths, read_flags, take_config_dirs
from scripts.version import show_version
from tasks.sources import DataError


def main() -> None:
    """The command `python -m scripts.train`, a Hydra app that checks before it runs anything."""
    if show_version():
        return
    log_to_console()
    quote_paths()
    interrupt.end_with_parent()  # of a sweep's torchrun
    try:
        flags = read_flags(take_config_dirs(sys.argv[1:]))
        shows = only_shows(flags)
        if not shows:
            world.check()
            if world.rank() > 0:
                parallel.join()  # waits until the first process has checked everything
        overrides_of_runs = [] if flags.shell_completion else expand_overrides(flags)
        configs = [compose(overrides) for overrides in overrides_of_runs]
        if not shows:
            runs = [Run(config["paths"]["runs"], config) for config in configs]
            launcher_overrides = launcher_overrides_for(flags, configs)
            check_records(runs)
            check_ready(runs, not flags.multirun or trains_here(flags.overrides))
            prepare(runs)
            if flags.multirun:
                say_how(flags.overrides, configs[0], len(configs))
            say_not_logged(runs, flags.overrides)
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    if shows:
        show_by_hydra()
        return
    parallel.join()
    with interrupt.forwarding_to_workers():
        if flags.multirun:
            named = zip(runs, overrides_of_runs, names_of(configs), strict=True)
            jobs = [(run, [*typed, *shown_as(name)]) for run, typed, name in named]
            try:
                run_all(job, launcher_overrides, jobs)
            except BadInput as error:  # of a cluster
                refuse(error)
        else:
            with interrupt.in_run():
                execute(runs[0])
    leave(runs)


def show_by_hydra() -> None:
    """Let Hydra answer --cfg, --info, --help and the like."""
    sys.argv[1:] = take_config_dirs(sys.argv[1:])
    if folders := [f"file://{folder}" for folder in search_path.others()]:
        sys.argv.append(f"hydra.searchpath={hydra_text(folders)}")
    app = hydra.main(version_base="1.3", config_path=str(search_path.CONF), config_name="train")
    app(job)()


def expand_overrides(flags: argparse.Namespace) -> list[list[str]]:
    """The overrides of all runs that a command line asks for."""
    if flags.multirun:
        world.check_one_run("-m")
    with hydra_of() as hydra:
        return expand(flags.overrides, hydra.config_loader, flags.multirun)


def launcher_overrides_for(
    flags: argparse.Namespace, configs: Sequence[dict[str, Any]]
) -> list[str]:
    """Overrides of Hydra's launcher, where there are several runs."""
    if not flags.multirun:
        return []
    typed = [override for override in flags.overrides if is_hydras(override)]
    return typed + launcher_settings(flags.overrides, configs[0], len(configs))


if __name__ == "__main__":
    main()
