"""Checks before the first of some runs starts, and the exit of a command after the last."""

import sys
from collections.abc import Iterable, Sequence

from engine import interrupt
from engine.checks import BadInput
from engine.console import say
from engine.launch import check_writable
from engine.make import clear_meta_tasks, meta_task
from engine.record_files import Damaged
from engine.run import Run


def check_ready(runs: Sequence[Run], here: bool = True) -> None:
    """Check folders and devices, and that those runs can be trained that have not ended.

    Args:
        runs: all of them.
        here: whether they will train on this machine's devices.

    Raises:
        BadInput: a folder cannot be written, a device is not there, or batches cannot be split as a
            run asks for.
        tasks.sources.DataError: there is not enough memory for a run.
    """
    open_runs = unfinished(runs)
    if not open_runs:
        return
    from engine.memory import check_memory  # where nothing is to train, PyTorch is not needed
    from engine.parallel import check_batch, local_device

    for folder in {run.config["paths"]["runs"] for run in open_runs}:
        check_writable(folder, "paths.runs")
    for device in {run.config["train"]["device"] for run in open_runs if here}:
        local_device(device)
    parts = ("task", "optim", "accumulate", "train", "sweep")
    for run in distinct(open_runs, parts):
        task = meta_task(run.config)
        check_batch(task, run.config)
        if here:
            check_memory(task, run.config)


def prepare(runs: Sequence[Run]) -> None:
    """Prepare the tasks of all runs that have not ended, such as their data.

    Raises:
        tasks.sources.DataError: data are damaged or not available, or there is no room for them.
    """
    for run in runs:
        run.restore_config()
    for run in distinct(unfinished(runs), ("task",)):
        from tasks.task import Context  # imports torch

        task = meta_task(run.config)
        task.bind(Context(run.files(0)))
        task.prepare()
    clear_meta_tasks()


def check_records(runs: Iterable[Run]) -> None:
    """Raise BadInput where the record of a run is damaged."""
    for run in runs:
        try:
            run.check()
        except Damaged as damage:
            raise BadInput(str(damage)) from damage


def unfinished(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if not run.done]


def distinct(runs: Iterable[Run], parts: Sequence[str]) -> Iterable[Run]:
    """One run for each different content of these parts of their configs."""
    return {str([run.config[part] for part in parts]): run for run in runs}.values()


def leave(runs: Iterable[Run]) -> None:
    """Print which runs failed and where their logs are, and exit: with 0 if all are done."""
    if signum := interrupt.received():
        say("stopped; give the same command again to go on", error=True)
        sys.exit(128 + signum)
    open_runs = unfinished(runs)
    for run in open_runs:
        log_file = run.folder / "log.txt"
        say(f"{why_open(run)}; log: {log_file if log_file.exists() else 'none'}", error=True)
    sys.exit(1 if open_runs else 0)


def why_open(run: Run) -> str:
    if run.damage:
        return f"failed: {run.damage}"
    if summary := run.summary:
        return f"failed: {run.folder}: {summary['error']}"
    if run.busy:
        return f"not ended: {run.folder}: another process is training it"
    return f"failed: {run.folder}: stopped before its end"
