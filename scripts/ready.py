"""What must hold before the first of some runs starts, and how a command ends after the last."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from results.record_files import Damaged
from results.run import Run
from scripts import interrupt
from scripts.checks import BadInput
from scripts.config import make_task
from scripts.console import say
from scripts.distributed import check_batch, check_shareable, own_device
from scripts.launch import check_writable


def make_ready(configs: Sequence[dict[str, Any]], here: bool = True) -> None:
    """Check folders and devices, and make the tasks of all that has not ended ready.

    Args:
        configs: of all runs.
        here: whether they will train on this machine's devices.

    Raises:
        BadInput: a folder cannot be written, a device is not there, or several processes are to
            train a task that only one can.
        tasks.sources.DataError: data cannot be had, or are damaged; or there is no room for them.
    """
    runs = [Run(config["paths"]["runs"], config) for config in configs]
    for run in runs:
        run.restore_config()
    waiting = [run.config for run in runs if not run.ended]
    for folder in {config["paths"]["runs"] for config in waiting}:
        check_writable(folder, "paths.runs")
    for device in {config["train"]["device"] for config in configs if here}:
        own_device(device)
    for config in configs:
        check_batch(config)
    for config in {str(config["task"]): config for config in waiting}.values():
        task = make_task(config, torch.device("meta"))
        check_shareable(task, config)
        task.checkpoint_folder = Run(config["paths"]["runs"], config).files(0)
        task.prepare()


def check_records(configs: Sequence[dict[str, Any]]) -> None:
    """Raise BadInput where the record of a run that was asked for cannot be trusted."""
    for config in configs:
        try:
            Run(config["paths"]["runs"], config).check()
        except Damaged as damage:
            raise BadInput(str(damage)) from damage


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
