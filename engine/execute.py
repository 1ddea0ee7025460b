"""One run from its config to its record: an ended run is not repeated, failures are recorded."""

import logging
import traceback
from contextlib import ExitStack
from typing import Any

import torch

from engine import devices, interrupt, parallel
from engine.checkpoint import CURRENT as CHECKPOINT
from engine.checkpoint import OtherFormat
from engine.console import say
from engine.loggers import Loggers, describe_run, ending
from engine.loop import Outcome, train
from engine.make import make_loggers
from engine.metrics import headline_of
from engine.parallel import RunOfHigherRank, call_on_rank_zero
from engine.progress import progress
from engine.record_files import ENDED, Damaged, read_environment
from engine.resume import resume
from engine.run import Busy, Run
from engine.session import Session
from engine.shared import make_folder
from engine.titles import run_title

log = logging.getLogger("adamily")


def execute(run: Run, share_devices: bool = False) -> str:
    """Carry a run out, unless it has ended, and print how that went.

    Args:
        run: the run.
        share_devices: wait for a free slot on one of this machine's devices.

    Returns:
        "finished", "diverged" or "failed" as in the run's summary; "paused" where it is to pause;
        "interrupted" when told to stop; "died" when another process of the run did; "busy" when
        another process trains it.
    """
    if any(parallel.all_reduce_max(interrupt.watch_signals() or 0)):
        return "interrupted"
    if parallel.rank() > 0:
        run = RunOfHigherRank(run.root, run.config)
    title = f"{run_title(run.config)} [{run.id}]"
    try:
        with ExitStack() as lock_stack:
            # First without the lock: the disk of a run that has ended may be read-only.
            earlier_status = call_on_rank_zero(lambda: ended_before(run))
            if earlier_status is None:
                call_on_rank_zero(lambda: lock_stack.enter_context(run.locked()))
                earlier_status = call_on_rank_zero(lambda: ended_before(run))
            if earlier_status is not None:
                say(f"{title}: {earlier_status} before")
                return earlier_status
            status = attempt(run, share_devices)
    except interrupt.Interrupted:
        status = "interrupted"
    except Busy as error:
        log.info("%s: %s", title, error)
        return "busy"
    except (Damaged, OtherFormat, OSError) as error:
        log.error("%s: %s", title, error)
        return "failed"
    say(f"{title}: {status}{result_text(run)}")
    return status


def ended_before(run: Run) -> str | None:
    """How the run has ended, if it has, and its leftover files are then removed; or "paused"."""
    if run.ended:
        run.tidy()
        return run.status
    return "paused" if run.done else None


def attempt(run: Run, share_devices: bool) -> str:
    """Train the run, whose lock this process holds, and record how it ended."""
    requested = run.config["train"]["device"]
    jobs_per_device = run.config["sweep"]["jobs_per_device"]
    run.check()
    make_folder(run.folder)
    # An earlier run of this process may have set another number.
    threads = devices.threads(requested, jobs_per_device) if share_devices else devices.THREADS
    torch.set_num_threads(threads)
    with run.logged():
        try:
            if not share_devices:
                return train_on(parallel.local_device(requested), run)
            with devices.reserved(requested, jobs_per_device) as (device,):
                return train_on(device, run)
        except (interrupt.Interrupted, Damaged, OtherFormat):
            raise
        except Exception as error:
            log.debug("%s", traceback.format_exc())
            if parallel.peer_died(error):
                log.error(
                    "one of the %d processes died; give the same command again to go on",
                    parallel.world_size(),
                )
                return "died"
            message = f"{type(error).__name__}: {error}"
            run.end("failed", {"error": message, "final": {}, "best": {}})
            return "failed"


def train_on(device: torch.device, run: Run) -> str:
    session = resume(run, device)
    trackers = make_loggers(run.config) if parallel.rank() == 0 else []
    info = describe_run(run.folder, run.config, read_environment(run.folder, {}), session.step)
    loggers = Loggers(trackers, info)
    bar = progress(f"{run_title(run.config)} [{run.id}]", session.step, session.task.steps)
    status = "failed"
    try:
        status = outcome = train(session, run, loggers, bar)
        # Also after an interruption: no other process leaves before the first one is done.
        call_on_rank_zero(lambda: close(run, session, outcome))
    finally:
        bar.close()
        loggers.finish(ending(run.config, summary_of(run, session, status)))
    return status


def summary_of(run: Run, session: Session, status: str) -> dict[str, Any]:
    """The run's summary.json, or what is known of a run that has not ended."""
    known = {
        "status": status,
        "final": session.evaluations.final,
        "best": session.evaluations.best,
        "wall_seconds": session.clock.elapsed(),
    }
    return (run.summary if status in ENDED else None) or known


def close(run: Run, session: Session, outcome: Outcome) -> None:
    if outcome in ENDED:
        run.end(outcome, session.summary(outcome))


def result_text(run: Run) -> str:
    """The run's result, as the rest of a line that begins with its status."""
    summary = run.summary
    if summary is None and run.done:
        return f" at {run.config['train']['pause_at']:.3g} of its steps; it can go on from there"
    if summary is None:
        from_checkpoint = " from its checkpoint" if (run.folder / CHECKPOINT).exists() else ""
        return f"; ask for it again to go on{from_checkpoint}"
    if summary["status"] == "failed":
        return f", {summary['error']}; see {run.folder / 'log.txt'}"
    if summary["status"] == "diverged":
        return f" at step {summary['diverged_at']} of {summary['steps']}"
    final = summary["final"]
    names = dict.fromkeys(["train/loss", headline_of(run.config)])
    values = [f"{name} {final[name]:.4g}" for name in names if final.get(name) is not None]
    return f" in {summary['wall_seconds']:.1f} s, {', '.join(values)}"
