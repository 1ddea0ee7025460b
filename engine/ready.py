"""What must hold before the first of some runs starts, and how a command ends after the last."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from engine import interrupt
from engine.checks import BadInput
from engine.console import say
from engine.launch import check_writable
from engine.make import make_task
from engine.memory import check_memory
from engine.parallel import check_batch, own_device
from engine.record_files import Damaged
from engine.run import Run
from tasks.task import Context


def check_ready(configs: Sequence[dict[str, Any]], here: bool = True) -> None:
    """Check folders and devices, and that what has not ended can be trained.

    Args:
        configs: of all runs.
        here: whether they will train on this machine's devices.

    Raises:
        BadInput: a folder cannot be written, a device is not there, or batches cannot be cut as a
            run asks for.
        tasks.sources.DataError: there is no room for a run in memory.
    """
    for folder in {config["paths"]["runs"] for config in waiting(configs)}:
        check_writable(folder, "paths.runs")
    for device in {config["train"]["device"] for config in configs if here}:
        own_device(device)
    parts = ("task", "optim", "accumulate", "train", "sweep")
    for config in unlike(waiting(configs), parts):
        task = make_task(config, torch.device("meta"))
        check_batch(task, config)
        if here:
            check_memory(task, config)


def prepare(configs: Sequence[dict[str, Any]]) -> None:
    """Make the tasks of all runs that have not ended ready, once all of them are checked.

    Raises:
        tasks.sources.DataError: data cannot be had, or are damaged; or there is no room for them.
    """
    for config in configs:
        Run(config["paths"]["runs"], config).restore_config()
    for config in unlike(waiting(configs), ("task",)):
        task = make_task(config, torch.device("meta"))
        task.bind(Context(Run(config["paths"]["runs"], config).files(0)))
        task.prepare()


def check_records(configs: Sequence[dict[str, Any]]) -> None:
    """Raise BadInput where the record of a run that was asked for cannot be trusted."""
    for config in configs:
        try:
            Run(config["paths"]["runs"], config).check()
        except Damaged as damage:
            raise BadInput(str(damage)) from damage


def waiting(configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [config for config in configs if not Run(config["paths"]["runs"], config).ended]


def unlike(configs: Sequence[dict[str, Any]], parts: Sequence[str]) -> Iterable[dict[str, Any]]:
    """One config of those that are alike in some parts."""
    return {str([config[part] for part in parts]): config for config in configs}.values()


def leave(runs: Iterable[Run]) -> None:
    """Say which runs failed and where their logs are, and exit: 0 when all have ended."""
    if signum := interrupt.received():
        say("stopped; give the same command again to go on", error=True)
        sys.exit(128 + signum)
    open_runs = [run for run in runs if not run.ended]
    for run in open_runs:
        log = run.folder / "log.txt"
        say(f"{why_open(run)}; log: {log if log.exists() else 'none'}", error=True)
    sys.exit(1 if open_runs else 0)


def why_open(run: Run) -> str:
    if run.damage:
        return f"failed: {run.damage}"
    if summary := run.summary:
        return f"failed: {run.folder}: {summary['error']}"
    if run.busy:
        return f"not ended: {run.folder}: another process is training it"
    return f"failed: {run.folder}: stopped before its end"
