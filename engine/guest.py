"""Runs inside another program's process, such as a notebook, which is left as it was before."""

import logging
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from engine import interrupt


@contextmanager
def as_guest() -> Iterator[None]:
    """Restore after the block what runs change in a process.

    That is signal handlers, the global random generators, torch's settings, and the handlers of the
    project's log. A request to stop is forgotten after the block.

    Raises:
        KeyboardInterrupt: the block raised Interrupted because of Ctrl-C.
        interrupt.Interrupted: the same for another signal that did not end the process.
    """
    interrupt.reset()
    try:
        with restored_signals(), restored_generators(), restored_torch(), restored_log():
            yield
    except interrupt.Interrupted:
        signum = interrupt.received()
        if signum == signal.SIGINT:
            raise KeyboardInterrupt from None
        if signum is not None:
            signal.raise_signal(signum)
        raise
    finally:
        interrupt.reset()


@contextmanager
def restored_signals() -> Iterator[None]:
    """Does nothing outside the main thread, in which alone handlers can be set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def restored_generators() -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state()
    gpu_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        if gpu_states:
            torch.cuda.set_rng_state_all(gpu_states)


@contextmanager
def restored_torch() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    before = determinism()
    torch.set_default_dtype(torch.float32)  # as in a process started for runs
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if determinism() != before:  # the call imports the compiler, which takes seconds
            enabled, warn_only = before
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def determinism() -> tuple[bool, bool]:
    """Whether torch uses deterministic algorithms, and only warns where there is none."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


@contextmanager
def restored_log() -> Iterator[None]:
    log = logging.getLogger("adamily")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    try:
        yield
    finally:
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
