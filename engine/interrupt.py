"""A wish to stop: SIGTERM, Ctrl-C, a sweep's word to its workers, or the end of the sweep.

The training loop asks once a step and leaves with a checkpoint. A second Ctrl-C ends the process at
once.
"""

import multiprocessing
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from types import FrameType

# Workers of a sweep learn from this file, whose name they inherit, that the sweep was told to stop:
# a signal sent to the sweep alone does not reach them.
STOP_FILE = "ADAMILY_STOP_FILE"

# The process that is to be the parent of its reader: who is left behind stops, too.
PARENT = "ADAMILY_PARENT"
PARENT_POLL_SECONDS = 0.5
# In which a run of such a process may leave with a checkpoint; torchrun grants its processes the
# same.
GRACE_SECONDS = 30.0

# And from this, whose workers they are.
SWEEP = "ADAMILY_SWEEP"
COMMAND_LENGTH = 200

_received: int | None = None
# What this process, if it is a sweep, writes for its workers.
_told: Path | None = None
_left_behind = False
_ends_with_sweep = False
# Not set while the process is, or may be, in a run.
_idle = threading.Event()


class Interrupted(Exception):
    """Told to stop."""


def received() -> int | None:
    """The number of the signal that asked this process to stop, or None. Asked at every step."""
    return _received


def start_listening() -> int | None:
    """Listen on behalf of the next run; return the signal that asked to stop before it, or None."""
    listen()
    forget()
    check_sweep_stopped()
    return _received


def stop(signum: int) -> None:
    """Stop for a signal that another process received, unless this one received one itself."""
    if _received is None:
        _note(signum, None)


def check_sweep_stopped() -> None:
    """Stop this process too if the sweep that it works for was told to stop. Looks at the disk."""
    path = os.environ.get(STOP_FILE)
    if _left_behind or (path is not None and os.path.exists(path)):
        stop(signal.SIGTERM)


def in_sweeps_process() -> bool:
    """Whether the sweep that a run belongs to is carried out by this very process."""
    return os.environ.get(PARENT) == str(os.getpid())


def reset() -> None:
    """Let the process go on as if it had never been told to stop."""
    global _received
    _received = None


def forget() -> None:
    """Let a worker go on with other runs once it has left the one that it was told to stop."""
    global _received
    if is_worker():
        _received = None


def is_worker() -> bool:
    """Whether this process was started by another one of Python's, as joblib's workers are."""
    return multiprocessing.current_process().name != "MainProcess"


def listen() -> None:
    """From now on SIGTERM and Ctrl-C are noted and not raised (in the main thread only)."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _note)
        signal.signal(signal.SIGINT, _note)


@contextmanager
def told_to_workers() -> Iterator[None]:
    """Listen, and let workers started inside the block know of signals that reach this process.

    One block for all launches: a launcher may keep its workers from one to the next.
    """
    global _told
    listen()
    with tempfile.TemporaryDirectory(prefix="adamily-") as folder:
        _told = Path(folder) / "stop"
        os.environ |= {STOP_FILE: str(_told), PARENT: str(os.getpid()), SWEEP: own_name()}
        try:
            yield
        finally:
            _told = None
            del os.environ[STOP_FILE], os.environ[PARENT], os.environ[SWEEP]


def _note(signum: int, frame: FrameType | None) -> None:
    global _received
    if signum == _received == signal.SIGINT:
        raise KeyboardInterrupt
    _received = signum
    if _told is not None:
        with suppress(OSError):  # the temporary folder may be gone or full
            _told.touch()


# -- the end of the process that this one works for ------------------------------------------------


def end_with_sweep() -> None:
    """End a worker of joblib's with its sweep, even one that has had no run yet.

    The name tells it from processes that a worker or a single run starts, to load data say.
    """
    global _ends_with_sweep
    if multiprocessing.current_process().name.startswith("LokyProcess") and not _ends_with_sweep:
        _ends_with_sweep = True
        _idle.set()
        end_with_parent()


def end_with_parent() -> None:
    """End this process soon after the one that PARENT names; a run leaves with a checkpoint."""
    if parent := os.environ.get(PARENT):
        threading.Thread(target=_wait_for_end, args=(int(parent),), daemon=True).start()


@contextmanager
def in_run() -> Iterator[None]:
    """In the block, this process needs time to stop."""
    _idle.clear()
    try:
        yield
    finally:
        _idle.set()


def _wait_for_end(parent: int) -> None:
    global _left_behind
    while os.getppid() == parent:  # an orphan gets another
        time.sleep(PARENT_POLL_SECONDS)
    _left_behind = True
    os.kill(os.getpid(), signal.SIGTERM)
    _idle.wait(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


# -- which sweep this process works for ------------------------------------------------------------


def sweep_name() -> str:
    """The sweep that this process works for, or else the process: its number and its command."""
    return os.environ.get(SWEEP) or own_name()


def own_name() -> str:
    command = shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]])
    # In ASCII: it goes into the environment, whatever the locale.
    return f"process {os.getpid()} ({shorten(command, COMMAND_LENGTH, placeholder=' ...')})"


def first_in_sweep(what: str) -> bool:
    """Whether no other process of this sweep has asked the same before."""
    path = os.environ.get(STOP_FILE)
    if path is None:
        return True
    try:
        Path(path).with_name(what).touch(exist_ok=False)
    except OSError:  # there already, or not to be had
        return False
    return True
