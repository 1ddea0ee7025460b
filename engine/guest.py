"""Runs inside somebody else's process, a notebook say, which is afterwards as it was before."""

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
    """Put back after the block what runs change in a process.

    These are signal handlers, the global generators, what torch is set to, and where the project's
    log goes. A wish to stop counts in the block alone.

    Raises:
        KeyboardInterrupt: the block raised Interrupted, having been told to stop by Ctrl-C.
        interrupt.Interrupted: the same for another signal, if that has not ended the process.
    """
    interrupt.reset()
    try:
        with same_signals(), same_generators(), same_torch(), same_log():
            yield
    except interrupt.Interrupted:
        told = interrupt.received()
        if told == signal.SIGINT:
            raise KeyboardInterrupt from None
        if told is not None:
            signal.raise_signal(told)
        raise
    finally:
        interrupt.reset()


@contextmanager
def same_signals() -> Iterator[None]:
    """Only the main thread may set handlers, and only it has them set."""
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
def same_generators() -> Iterator[None]:
    python, numpys, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)
        torch.set_rng_state(torchs)
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)


@contextmanager
def same_torch() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    before = determinism()
    torch.set_default_dtype(torch.float32)  # as in a process of a run's own
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if determinism() != before:  # the call imports the compiler, which takes seconds
            enabled, warn_only = before
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def determinism() -> tuple[bool, bool]:
    """Whether torch's algorithms are to be deterministic, and whether others only warn."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


@contextmanager
def same_log() -> Iterator[None]:
    log = logging.getLogger("adamily")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    try:
        yield
    finally:
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
