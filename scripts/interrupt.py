"""A wish to stop: SIGTERM, Ctrl-C, or a sweep's word to its workers.

The training loop asks once a step and leaves with a checkpoint. A second Ctrl-C ends the process at
once.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

# Workers of a sweep learn from this file, whose name they inherit, that the sweep was told to stop:
# a signal sent to the sweep alone does not reach them.
STOP_FILE = "ADAMILY_STOP_FILE"

_received: int | None = None
# What this process, if it is a sweep, writes for its workers.
_told: Path | None = None


class Interrupted(Exception):
    """Told to stop."""


def received() -> int | None:
    """The number of the signal that asked this process to stop, or None. Asked at every step."""
    return _received


def listen_anew() -> int | None:
    """Listen on behalf of the next run; return the signal that asked to stop before it, or None."""
    listen()
    forget()
    heed_sweep()
    return _received


def stop(signum: int) -> None:
    """Stop for a signal that another process received, unless this one received one itself."""
    if _received is None:
        _note(signum, None)


def heed_sweep() -> None:
    """Stop this process too if the sweep that it works for was told to stop. Looks at the disk."""
    path = os.environ.get(STOP_FILE)
    if path is not None and os.path.exists(path):
        stop(signal.SIGTERM)


def forget() -> None:
    """Let a worker go on with other runs once it has left the one that it was told to stop."""
    global _received
    if multiprocessing.current_process().name != "MainProcess":
        _received = None


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
        os.environ[STOP_FILE] = str(_told)
        try:
            yield
        finally:
            _told = None
            del os.environ[STOP_FILE]


def _note(signum: int, frame: FrameType | None) -> None:
    global _received
    if signum == _received == signal.SIGINT:
        raise KeyboardInterrupt
    _received = signum
    if _told is not None:
        with suppress(OSError):  # the temporary folder may be gone or full
            _told.touch()
