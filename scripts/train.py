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
from engine.execute import execute
from engine.job import job
from engine.launch import launcher_settings, say_how, trains_here
from engine.overrides import expand, is_hydras
from engine.ready import check_ready, check_records, leave, prepare
from engine.rounds import run_all
from engine.run import Run
from engine.texts import hydra_text
from scripts.flags import only_shows, quote_paths, read_flags, take_config_dirs
from tasks.sources import DataError


def main() -> None:
    """The command `python -m scripts.train`, a Hydra app that checks before it runs anything."""
    log_to_console()
    quote_paths()
    interrupt.end_with_parent()  # of a sweep's torchrun
    try:
        typed = read_flags(take_config_dirs(sys.argv[1:]))
        shows = only_shows(typed)
        if not shows:
            world.check()
            if world.rank() > 0:
                parallel.join()  # as soon as the first process has found nothing wrong
        expanded = [] if typed.shell_completion else expanded_by(typed)
        configs = [compose(overrides) for overrides in expanded]
        if not shows:
            runs = [Run(config["paths"]["runs"], config) for config in configs]
            settings = settings_of(typed, configs)
            check_records(runs)
            check_ready(runs, not typed.multirun or trains_here(typed.overrides))
            prepare(runs)
            if typed.multirun:
                say_how(typed.overrides, configs[0], len(configs))
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    if shows:
        show()
        return
    parallel.join()
    with interrupt.forwarding_to_workers():
        if typed.multirun:
            run_all(job, settings, list(zip(runs, expanded, strict=True)))
        else:
            with interrupt.in_run():
                execute(runs[0])
    leave(runs)


def show() -> None:
    """Let Hydra answer --cfg, --info, --help and the like."""
    sys.argv[1:] = take_config_dirs(sys.argv[1:])
    if folders := [f"file://{folder}" for folder in search_path.others()]:
        sys.argv.append(f"hydra.searchpath={hydra_text(folders)}")
    main = hydra.main(version_base="1.3", config_path=str(search_path.CONF), config_name="train")
    main(job)()


def expanded_by(typed: argparse.Namespace) -> list[list[str]]:
    """The overrides of all runs that a command line asks for."""
    if typed.multirun:
        parallel.check_one_run("-m")
    with hydra_of() as hydra:
        return expand(typed.overrides, hydra.config_loader, typed.multirun)


def settings_of(typed: argparse.Namespace, configs: Sequence[dict[str, Any]]) -> list[str]:
    """What the launcher of several runs is told."""
    if not typed.multirun:
        return []
    settings = [override for override in typed.overrides if is_hydras(override)]
    return settings + launcher_settings(typed.overrides, configs[0], len(configs))


if __name__ == "__main__":
    main()
