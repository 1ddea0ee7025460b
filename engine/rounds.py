"""Many runs, launched until all have ended, whatever becomes of their workers."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine import checkpoint, interrupt
from engine.console import say
from engine.launch import launch
from engine.run import Run
from engine.texts import hydra_text

log = logging.getLogger("adamily")

# A run has failed when its process died so often at one checkpoint, the first time aside alone.
ATTEMPTS = 3
# Launches in a row after which no run had got on.
BARREN_LAUNCHES = 5
BUSY_POLL_SECONDS = 2.0

Job = tuple[Run, list[str]]


def run_all(task_function: Callable[..., Any], settings: list[str], wanted: Sequence[Job]) -> None:
    """Launch what has not ended until all has, or has failed in this call.

    Runs that another process trains are waited for, and taken over should it die. In a line it
    says so, once.

    Args:
        task_function: what Hydra runs for one run.
        settings: overrides of Hydra itself.
        wanted: runs, and the overrides that each is asked for by.
    """
    failed: set[str] = set()
    deaths: Counter[str] = Counter()
    barren, waits = 0, False
    settings = [*settings, *beside([run for run, _ in wanted])]
    while not interrupt.received():
        missing = [job for job in wanted if job[0].id not in failed and not job[0].ended]
        free = [job for job in missing if not job[0].busy]
        if not missing:
            return
        if not free:
            if not waits:
                say(f"waiting for what other processes train: {some_ids(missing)}")
            waits = True
            time.sleep(BUSY_POLL_SECONDS)
            continue
        batch = choose(free, deaths, barren)
        before = {run.id: standing(run) for run, _ in batch}
        try:
            statuses = launch(task_function, settings, [overrides for _, overrides in batch])
        except Exception as error:
            if interrupt.received():  # Ctrl-C reaches workers that are not listening yet
                return
            why = " ".join(str(error).split())
            log.warning("a worker died, and its runs are launched anew: %s", why)
            statuses = ["died"] * len(batch)
        moved = {run.id for run, _ in batch if standing(run) != before[run.id]}
        barren = 0 if moved else barren + 1
        if barren == BARREN_LAUNCHES:
            log.error("%d launches in a row, after which no run had got on: giving up", barren)
            return
        for (run, _), status in zip(batch, statuses, strict=True):
            if run.ended or run.busy:
                continue
            if status == "died" and (run.id in moved or len(batch) == 1):
                saved = standing(run)[1] != before[run.id][1]
                deaths[run.id] = 1 if saved else deaths[run.id] + 1
            if isinstance(status, Exception):
                log.error("run %s: %s: %s", run.id, type(status).__name__, status)
            if status not in ("busy", "interrupted", "died") or deaths[run.id] >= ATTEMPTS:
                failed.add(run.id)


def choose(free: Sequence[Job], deaths: Counter[str], barren: int) -> list[Job]:
    """What to launch next.

    A worker that dies takes the other workers' runs with it. So each run that was under way then is
    tried alone, after all others: if it dies again, that is its own doing. Runs that an earlier
    sweep left under way come last for the same reason. Where launches die without a trace, any
    run may be the reason, and all are tried alone.
    """
    fresh = [job for job in free if not deaths[job[0].id]]
    if fresh and barren < 2:
        return sorted(fresh, key=lambda job: job[0].begun)
    return [min(free, key=lambda job: deaths[job[0].id])]


def beside(runs: Sequence[Run]) -> list[str]:
    """Where launchers keep what they write: in the folder of the runs, not in the working folder.

    What is composed for a launcher knows no run, and so not its paths.
    """
    folders = {run.root for run in runs}
    return [
        f"hydra.sweep.dir={hydra_text(str(folder / '.hydra'))}" for folder in sorted(folders)[:1]
    ]


def some_ids(jobs: Sequence[Job]) -> str:
    ids = [run.id for run, _ in jobs]
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} others" if len(ids) > 3 else "")


def standing(run: Run) -> tuple[int, int, int]:
    """Changes when the run is begun or resumed, saves a checkpoint, or ends: the times of these."""
    kept = ("environment.json", checkpoint.CURRENT, "summary.json")
    began, saved, ended = (changed(run.folder / name) for name in kept)
    return began, saved, ended


def changed(path: Path) -> int:
    """When a file was last changed, in nanoseconds, or 0 where it is not."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
