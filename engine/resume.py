"""A run's session, put back to where its newest checkpoint that can be used left it."""

import logging
from typing import Any

import torch
import torch.distributed as dist

from engine import parallel
from engine.environment import environment
from engine.run import Run
from engine.session import Session
from tasks.sources import DataError
from tasks.task import Context

log = logging.getLogger("adamily")

# What comes of a checkpoint that lacks something, or holds it in another shape.
MISFIT = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, DataError)
# What has other reasons, which the checkpoint before it would not remedy.
REASONS_OF_ITS_OWN = (torch.OutOfMemoryError, torch.AcceleratorError, dist.DistError)


def resume(run: Run, device: torch.device) -> Session:
    """Make the run ready, and a session that goes on from a checkpoint of it, if there is one.

    Raises:
        Damaged, OtherFormat: as `Run.begin` and `Run.checkpoints` do.
        ValueError: as many processes must go on with the run as have begun it.
        OSError: the run's folder cannot be written.
    """
    session = fresh(run, device)
    states = run.checkpoints()
    while (state := parallel.from_first(lambda: next(states, None))) is not None:
        check_processes(state)
        reasons = [reason for reason in parallel.gather(misfit(session, state)) if reason]
        if not reasons:
            break
        log.warning(
            "The checkpoint of step %s in %s is passed over: %s.",
            state["step"],
            run.folder,
            reasons[0],
        )
        del session  # before there is another one of its size
        session = fresh(run, device)
    # Only now: a checkpoint brings its number of threads.
    here = environment(device)
    here |= {"processes": parallel.size(), "devices": parallel.gather(here["device"])}
    parallel.from_first(lambda: run.begin(here, state))
    return session


def fresh(run: Run, device: torch.device) -> Session:
    session = Session(run.config, device)
    folder, keeps_artifacts = run.files(parallel.rank()), run.config["train"]["artifacts"]
    session.task.bind(Context(folder, keeps_artifacts))
    return session


def misfit(session: Session, state: dict[str, Any]) -> str | None:
    """Why the session cannot take this state over; None once it has."""
    try:
        session.load_state_dict(state)
    except REASONS_OF_ITS_OWN:
        raise
    except MISFIT as error:
        what = " ".join(str(error).split())[:200]
        if isinstance(error, DataError):
            return what
        return f"it is damaged, since it does not fit ({type(error).__name__}: {what})"
    return None


def check_processes(state: dict[str, Any]) -> None:
    """Refuse to go on with other processes where each held a part of the task's state."""
    saved = state.get("processes", [])
    if len(saved) not in (0, 1, parallel.size()) and saved[0]["task"]:
        raise ValueError(
            f"{len(saved)} processes have begun this run, and each holds a part of the task's "
            f"state: go on with torchrun --nproc-per-node={len(saved)}"
        )
