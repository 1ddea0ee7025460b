"""One run from its config to its record: what is done is not done again, and failures are kept."""

import logging
import traceback
from contextlib import ExitStack
from typing import Any

import torch

from engine import devices, interrupt, parallel
from engine.checkpoint import CURRENT as CHECKPOINT
from engine.checkpoint import OtherFormat
from engine.console import say
from engine.loggers import Loggers, RunInfo
from engine.loop import Outcome, train
from engine.make import make_loggers
from engine.metrics import headline_of
from engine.parallel import RunOfHigherRank, from_first
from engine.progress import progress
from engine.record_files import Damaged
from engine.resume import resume
from engine.run import Busy, Run
from engine.session import Session
from engine.shared import make_folder
from engine.titles import optimizer_title, run_title

log = logging.getLogger("adamily")


def execute(run: Run, share_devices: bool = False) -> str:
    """Carry a run out, unless that is done, and say how it stands.

    Args:
        run: as its config asks for.
        share_devices: wait for a free place on this machine's devices.

    Returns:
        "finished", "diverged" or "failed" as in the run's summary; "interrupted" when told to
        stop; "died" when another process of the run did; "busy" when others train it.
    """
    if any(parallel.all_reduce_max(interrupt.start_listening() or 0)):
        return "interrupted"
    if parallel.rank() > 0:
        run = RunOfHigherRank(run.root, run.config)
    title = f"{run_title(run.config)} [{run.id}]"
    try:
        with ExitStack() as held:
            # One that has ended is asked without being held: its disk may be read-only.
            before = from_first(lambda: ended_before(run))
            if before is None:
                from_first(lambda: held.enter_context(run.locked()))
                before = from_first(lambda: ended_before(run))
            if before is not None:
                say(f"{title}: {before} before")
                return before
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
    """How the run has ended, if it has; what it left over is then removed."""
    if not run.ended:
        return None
    run.tidy()
    return run.status


def attempt(run: Run, share_devices: bool) -> str:
    """Train the run, which this process holds, and write down how it ended."""
    wanted, jobs = run.config["train"]["device"], run.config["sweep"]["jobs_per_device"]
    run.check()
    make_folder(run.folder)
    # The run before may have had another number.
    torch.set_num_threads(devices.threads(wanted, jobs) if share_devices else devices.THREADS)
    with run.logged():
        try:
            if not share_devices:
                return train_on(parallel.own_device(wanted), run)
            with devices.reserved(wanted, jobs) as (device,):
                return train_on(device, run)
        except (interrupt.Interrupted, Damaged, OtherFormat):
            raise
        except Exception as error:
            log.debug("%s", traceback.format_exc())
            if parallel.peer_died(error):
                log.error(
                    "one of the %d processes died; give the same command again to go on",
                    parallel.size(),
                )
                return "died"
            why = f"{type(error).__name__}: {error}"
            run.end("failed", {"error": why, "final": {}, "best": {}})
            return "failed"


def train_on(device: torch.device, run: Run) -> str:
    session = resume(run, device)
    chosen = make_loggers(run.config) if parallel.rank() == 0 else []
    loggers = Loggers(chosen, describe(run, session.step))
    bar = progress(f"{run_title(run.config)} [{run.id}]", session.step, session.task.steps)
    status = "failed"
    try:
        status = outcome = train(session, run, loggers, bar)
        # Also after an interruption: until the first process is through, none of the others leaves.
        from_first(lambda: close(run, session, outcome))
    finally:
        bar.close()
        loggers.finish(
            {
                "status": status,
                "final": session.evaluations.final,
                "best": session.evaluations.best,
                "wall_seconds": session.clock.elapsed(),
                **headline(session),
            }
        )
    return status


def headline(session: Session) -> dict[str, Any]:
    """What dashboards show of a run's end in columns that are the same for all tasks."""
    name = session.task.headline
    return {"headline": session.evaluations.final.get(name), "headline_metric": name}


def close(run: Run, session: Session, outcome: Outcome) -> None:
    if outcome != "interrupted":
        run.end(outcome, session.summary(outcome))


def describe(run: Run, step: int) -> RunInfo:
    """What dashboards are told about the run."""
    config = run.config
    chosen, group = config["names"], config["group"]
    tags = [
        chosen["task"],
        chosen["optim"],
        f"data:{config['data']}",
        f"profile:{config['profile']}",
    ]
    if group:
        tags.insert(0, group.partition("/")[0])
    return RunInfo(
        id=run.id,
        name=f"{optimizer_title(config)} seed={config['seed']}",
        group=group or chosen["task"],
        tags=tags,
        config=config,
        folder=run.folder,
        step=step,
    )


def result_text(run: Run) -> str:
    """What the end of a run is worth saying in a line."""
    summary = run.summary
    if summary is None:
        kept = " from its checkpoint" if (run.folder / CHECKPOINT).exists() else ""
        return f"; ask for it again to go on{kept}"
    if summary["status"] == "failed":
        return f", {summary['error']}; see {run.folder / 'log.txt'}"
    if summary["status"] == "diverged":
        return f" at step {summary['diverged_at']} of {summary['steps']}"
    final = summary["final"]
    shown = dict.fromkeys(["train/loss", headline_of(run.config)])
    values = [f"{name} {final[name]:.4g}" for name in shown if final.get(name) is not None]
    return f" in {summary['wall_seconds']:.1f} s, {', '.join(values)}"
