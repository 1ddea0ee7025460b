"""Many runs, launched in rounds until all have ended or paused, even if workers die."""

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from engine import checkpoint, interrupt
from engine.checks import BadInput
from engine.console import say
from engine.launch import launch
from engine.run import Run, modified_at
from engine.texts import hydra_text

log = logging.getLogger("adamily")

# A run has failed when its process has died this often since the same checkpoint: the first time
# beside other runs perhaps, then alone.
ATTEMPTS = 3
# The number of launches in a row without progress of any run after which to give up.
MAX_LAUNCHES_IN_VAIN = 5
BUSY_POLL_SECONDS = 2.0

Job = tuple[Run, list[str]]


def run_all(task_function: Callable[..., Any], settings: list[str], jobs: Sequence[Job]) -> None:
    """Launch the runs that are not done until all are, or have failed in this call.

    It waits for runs that another process trains, with one line about it, and takes them over if
    that process dies.

    Args:
        task_function: the function that Hydra calls for one run.
        settings: overrides of Hydra itself.
        jobs: the runs, each with its overrides.

    Raises:
        BadInput: there is no such cluster, or its nodes cannot carry out runs.
    """
    failed: set[str] = set()
    deaths: Counter[str] = Counter()
    launches_in_vain, waiting_announced = 0, False
    settings = [*settings, *launcher_folder([run for run, _ in jobs])]
    while not interrupt.received():
        open_jobs = [job for job in jobs if job[0].id not in failed and not job[0].done]
        free_jobs = [job for job in open_jobs if not job[0].busy]
        if not open_jobs:
            return
        if not free_jobs:
            if not waiting_announced:
                say(f"waiting for what other processes train: {some_ids(open_jobs)}")
            waiting_announced = True
            time.sleep(BUSY_POLL_SECONDS)
            continue
        batch = next_batch(free_jobs, deaths, launches_in_vain)
        before = {run.id: timestamps(run) for run, _ in batch}
        try:
            configs = [run.config for run, _ in batch]
            overrides = [overrides for _, overrides in batch]
            statuses = launch(task_function, settings, overrides, configs)
        except BadInput:
            raise
        except interrupt.Lost as error:
            log.error("%s", error)
            interrupt.stop(signal.SIGTERM)
            return
        except Exception as error:
            if interrupt.received():  # Ctrl-C reaches workers that are not listening yet
                return
            reason = " ".join(str(error).split())
            log.warning("a worker died, and its runs are launched anew: %s", reason)
            statuses = ["died"] * len(batch)
        progressed = {run.id for run, _ in batch if timestamps(run) != before[run.id]}
        launches_in_vain = 0 if progressed else launches_in_vain + 1
        if launches_in_vain == MAX_LAUNCHES_IN_VAIN:
            log.error(
                "%d launches in a row, after which no run had got on: giving up", launches_in_vain
            )
            return
        for (run, _), status in zip(batch, statuses, strict=True):
            if run.done or run.busy:
                continue
            if status == "died" and (run.id in progressed or len(batch) == 1):
                saved = timestamps(run)[1] != before[run.id][1]
                deaths[run.id] = 1 if saved else deaths[run.id] + 1
            if isinstance(status, Exception):
                log.error("run %s: %s: %s", run.id, type(status).__name__, status)
            if status not in ("busy", "interrupted", "died") or deaths[run.id] >= ATTEMPTS:
                failed.add(run.id)


def next_batch(free_jobs: Sequence[Job], deaths: Counter[str], launches_in_vain: int) -> list[Job]:
    """The jobs to launch next.

    A worker that dies ends the other workers' runs, too. So each run that was in progress then is
    launched alone, after all others: if it dies again, it is the cause. Runs that an earlier sweep
    has left unfinished come last for the same reason. Where launches die without progress of any
    run, each may be the cause, and all are launched alone.
    """
    untried = [job for job in free_jobs if not deaths[job[0].id]]
    if untried and launches_in_vain < 2:
        return sorted(untried, key=lambda job: job[0].begun)
    return [min(free_jobs, key=lambda job: deaths[job[0].id])]


def launcher_folder(runs: Sequence[Run]) -> list[str]:
    """The override that lets launchers write into the folder of runs, not the working folder.

    The config that is composed for a launcher is not that of a run, and lacks its paths.
    """
    folders = {run.root for run in runs}
    return [
        f"hydra.sweep.dir={hydra_text(str(folder / '.hydra'))}" for folder in sorted(folders)[:1]
    ]


def some_ids(jobs: Sequence[Job]) -> str:
    ids = [run.id for run, _ in jobs]
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} others" if len(ids) > 3 else "")


def timestamps(run: Run) -> tuple[int, int, int]:
    """When the run was last begun or resumed, last saved a checkpoint, and ended."""
    files = ("environment.json", checkpoint.CURRENT, "summary.json")
    began, saved, ended = (modified_at(run.folder / name) for name in files)
    return began, saved, ended
