"""Requests to stop: SIGTERM, Ctrl-C, a sweep that stops its workers, or the end of the sweep.

The training loop asks for them once a step and leaves with a checkpoint. A second Ctrl-C ends the
process at once.
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

# The variable with the path of a file that a sweep creates when it is told to stop. Its workers
# inherit the variable: a signal that is sent to the sweep alone does not reach them.
STOP_FILE = "ADAMILY_STOP_FILE"

# The variable with the number of the process that must be its reader's parent: an orphan stops.
PARENT = "ADAMILY_PARENT"
PARENT_POLL_SECONDS = 0.5
# The time that a run in an orphan has to leave with a checkpoint, the same as torchrun grants.
GRACE_SECONDS = 30.0

# The variable with the name of the sweep that a worker belongs to.
SWEEP = "ADAMILY_SWEEP"
COMMAND_LENGTH = 200

_received: int | None = None
# The file of STOP_FILE, if this process is a sweep.
_stop_file: Path | None = None
_orphaned = False
_ends_with_sweep = False
# Not set while the process is, or may be, in a run.
_idle = threading.Event()


class Interrupted(Exception):
    """Told to stop."""


class Lost(Exception):
    """A cluster has stopped a sweep's runs: it is gone, or somebody cancelled them there."""


def received() -> int | None:
    """The number of the signal that asked this process to stop, or None. Asked at every step."""
    return _received


def watch_signals() -> int | None:
    """Note signals for the next run; return the one that asked to stop before it, or None."""
    install_handlers()
    reset_worker()
    check_sweep_stopped()
    return _received


def stop(signum: int) -> None:
    """Stop because of a signal to another process, unless this one received one itself."""
    if _received is None:
        _note(signum, None)


def check_sweep_stopped() -> None:
    """Stop this process too if the sweep that it works for was told to stop. Looks at the disk."""
    path = os.environ.get(STOP_FILE)
    if _orphaned or (path is not None and os.path.exists(path)):
        stop(signal.SIGTERM)


def in_sweep_process() -> bool:
    """Whether this process is that of the sweep itself, and not a worker."""
    return os.environ.get(PARENT) == str(os.getpid())


def reset() -> None:
    """Forget that the process was told to stop."""
    global _received
    _received = None


def reset_worker() -> None:
    """In a worker, forget the signal by which an earlier run was stopped."""
    global _received
    if is_worker():
        _received = None


def is_worker() -> bool:
    """Whether another Python process started this one, as joblib does with its workers."""
    return multiprocessing.current_process().name != "MainProcess"


def install_handlers() -> None:
    """From now on note SIGTERM and Ctrl-C instead of raising them (in the main thread only)."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _note)
        signal.signal(signal.SIGINT, _note)


@contextmanager
def forwarding_to_workers() -> Iterator[None]:
    """Note signals, and pass them on to workers that are started inside the block.

    One block must enclose all launches: a launcher may reuse its workers.
    """
    global _stop_file
    install_handlers()
    with tempfile.TemporaryDirectory(prefix="adamily-") as folder:
        _stop_file = Path(folder) / "stop"
        os.environ |= {STOP_FILE: str(_stop_file), PARENT: str(os.getpid()), SWEEP: process_name()}
        try:
            yield
        finally:
            _stop_file = None
            del os.environ[STOP_FILE], os.environ[PARENT], os.environ[SWEEP]


def _note(signum: int, frame: FrameType | None) -> None:
    global _received
    if signum == _received == signal.SIGINT:
        raise KeyboardInterrupt
    _received = signum
    if _stop_file is not None:
        with suppress(OSError):  # the temporary folder may be gone or full
            _stop_file.touch()


# -- ending with the parent process ----------------------------------------------------------------


def end_with_sweep() -> None:
    """End this process with its sweep, if it is a worker of joblib's, even one without a run yet.

    Processes that a worker or a single run starts, to load data for example, have other names.
    """
    global _ends_with_sweep
    if multiprocessing.current_process().name.startswith("LokyProcess") and not _ends_with_sweep:
        _ends_with_sweep = True
        _idle.set()
        end_with_parent()


def end_with_parent() -> None:
    """End this process soon after that of PARENT; a run has time to save a checkpoint."""
    if parent := os.environ.get(PARENT):
        threading.Thread(target=_wait_for_end, args=(int(parent),), daemon=True).start()


@contextmanager
def in_run() -> Iterator[None]:
    """In the block, this process gets GRACE_SECONDS to stop."""
    _idle.clear()
    try:
        yield
    finally:
        _idle.set()


def _wait_for_end(parent: int) -> None:
    global _orphaned
    while os.getppid() == parent:  # an orphan gets another
        time.sleep(PARENT_POLL_SECONDS)
    _orphaned = True
    os.kill(os.getpid(), signal.SIGTERM)
    _idle.wait(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


# -- which sweep this process works for ------------------------------------------------------------


def sweep_name() -> str:
    """The name of the sweep that this process works for, or else its own."""
    return os.environ.get(SWEEP) or process_name()


def process_name() -> str:
    """This process, by its number and its command."""
    command = shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]])
    # In ASCII: it goes into the environment, whatever the locale.
    return f"process {os.getpid()} ({shorten(command, COMMAND_LENGTH, placeholder=' ...')})"


def first_in_sweep(what: str) -> bool:
    """Whether this is the first call for `what` in all processes of this sweep."""
    path = os.environ.get(STOP_FILE)
    if path is None:
        return True
    try:
        Path(path).with_name(what).touch(exist_ok=False)
    except OSError:  # it exists, or cannot be created
        return False
    return True
