"""A run's session, resumed from its newest usable checkpoint."""

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

# Raised for a checkpoint that lacks something, or holds it in another shape.
MISFIT_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, DataError)
# Those of them that have other causes, so that the previous checkpoint would not help.
UNRELATED_ERRORS = (torch.OutOfMemoryError, torch.AcceleratorError, dist.DistError)


def resume(run: Run, device: torch.device) -> Session:
    """Begin or resume the run; return its session, from a checkpoint if there is a usable one.

    Raises:
        Damaged, OtherFormat: as `Run.begin` and `Run.checkpoints` do.
        ValueError: the run must be resumed with another number of processes.
        OSError: the run's folder cannot be written.
    """
    session = new_session(run, device)
    states = run.checkpoints()
    while (state := parallel.call_on_rank_zero(lambda: next(states, None))) is not None:
        check_processes(state)
        reasons = [reason for reason in parallel.all_gather(misfit(session, state)) if reason]
        if not reasons:
            break
        log.warning(
            "The checkpoint of step %s in %s is passed over: %s.",
            state["step"],
            run.folder,
            reasons[0],
        )
        del session  # frees its memory before the next one is made
        session = new_session(run, device)
    # Only now: a checkpoint sets the number of threads.
    session_environment = environment(device)
    devices = parallel.all_gather(session_environment["device"])
    session_environment |= {"processes": parallel.world_size(), "devices": devices}
    parallel.call_on_rank_zero(lambda: run.begin(session_environment, state))
    return session


def new_session(run: Run, device: torch.device) -> Session:
    session = Session(run.config, device)
    folder, keeps_artifacts = run.files(parallel.rank()), run.config["train"]["artifacts"]
    session.task.bind(Context(folder, keeps_artifacts))
    return session


def misfit(session: Session, state: dict[str, Any]) -> str | None:
    """Load a state into the session; return why that is impossible, or None."""
    try:
        session.load_state_dict(state)
    except UNRELATED_ERRORS:
        raise
    except MISFIT_ERRORS as error:
        message = " ".join(str(error).split())[:200]
        if isinstance(error, DataError):
            return message
        return f"it is damaged, since it does not fit ({type(error).__name__}: {message})"
    return None


def check_processes(state: dict[str, Any]) -> None:
    """Refuse another number of processes where each has saved its own state of the task."""
    saved = state.get("processes", [])
    if len(saved) not in (0, 1, parallel.world_size()) and saved[0]["task"]:
        raise ValueError(
            f"{len(saved)} processes have begun this run, and each holds a part of the task's "
            f"state: go on with torchrun --nproc-per-node={len(saved)}"
        )
