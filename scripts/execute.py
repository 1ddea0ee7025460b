"""One run from its config to its record: what is done is not done again, and failures are kept."""

import logging
import traceback
from collections.abc import Callable
from typing import Any, Literal

import torch

from results.checkpoint import CURRENT as CHECKPOINT
from results.loggers import Loggers, RunInfo
from results.run import Busy, ConfigChanged, Run
from scripts import interrupt
from scripts.config import make_loggers
from scripts.devices import available, reserved
from scripts.progress import progress
from scripts.session import Session
from scripts.titles import optimizer_title, run_title

log = logging.getLogger("adamily")

Loop = Callable[..., Literal["finished", "diverged", "interrupted"]]


def execute(config: dict[str, Any], loop: Loop, share_devices: bool = False) -> str:
    """Run what `config` asks for, unless that is done, and say how it stands.

    Args:
        config: the resolved config of one run.
        loop: `scripts.train.train`.
        share_devices: wait for a free place on this machine's devices.

    Returns:
        "finished", "diverged" or "failed" as in the run's summary; "interrupted" when told to
        stop; "busy" when another process is training this run.
    """
    interrupt.listen()
    interrupt.forget()
    interrupt.heed_sweep()
    if interrupt.received():
        return "interrupted"
    run = Run(config["paths"]["runs"], config)
    title = f"{run_title(config)} [{run.id}]"
    try:
        with run.locked():
            if run.ended:
                print(f"{title}: {run.status} before", flush=True)
                return str(run.status)
            status = attempt(run, config, loop, share_devices)
    except interrupt.Interrupted:
        status = "interrupted"
    except Busy as error:
        log.info("%s: %s", title, error)
        return "busy"
    except (ConfigChanged, OSError) as error:
        log.error("%s: %s", title, error)
        return "failed"
    print(f"{title}: {status}{result_text(run)}", flush=True)
    return status


def attempt(run: Run, config: dict[str, Any], loop: Loop, share_devices: bool) -> str:
    """Train the run, which this process holds, and write down how it ended."""
    wanted, jobs = config["train"]["device"], config["sweep"]["jobs_per_device"]
    run.check_config()
    run.folder.mkdir(parents=True, exist_ok=True)
    with run.logged():
        try:
            if not share_devices:
                return train_on(available(wanted)[0], run, config, loop)
            with reserved(wanted, jobs) as device:
                return train_on(device, run, config, loop)
        except (interrupt.Interrupted, ConfigChanged):
            raise
        except Exception as error:
            log.debug("%s", traceback.format_exc())
            reason = f"{type(error).__name__}: {error}"
            run.end("failed", {"error": reason, "final": {}, "best": {}})
            return "failed"


def train_on(device: torch.device, run: Run, config: dict[str, Any], loop: Loop) -> str:
    session = Session(config, device)
    session.restore(run)
    loggers = Loggers(make_loggers(config), describe(run, config, session.step))
    bar = progress(f"{run_title(config)} [{run.id}]", session.step, session.task.steps)
    outcome = "failed"
    try:
        outcome = loop(session, run, loggers, bar)
        if outcome != "interrupted":
            run.end(outcome, session.summary(outcome))
    finally:
        bar.close()
        loggers.finish(
            {
                "status": outcome,
                "final": session.final,
                "best": session.best,
                "wall_seconds": session.elapsed(),
            }
        )
    return outcome


def describe(run: Run, config: dict[str, Any], step: int) -> RunInfo:
    """What dashboards are told about the run."""
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
    shown = ("train/loss", "test/loss", "test/accuracy")
    values = [f"{k} {v:.4g}" for k, v in summary["final"].items() if k in shown and v is not None]
    return f" in {summary['wall_seconds']:.1f} s, {', '.join(values)}"
