"""Which device a run trains on, and one run at a time on each."""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from scripts import interrupt
from scripts.checks import BadInput

POLL_SECONDS = 0.2


def available(wanted: str) -> list[torch.device]:
    """The devices that `train.device` names; "auto" means every GPU, or else the CPU.

    Raises:
        BadInput: a GPU that is not there.
    """
    count = torch.cuda.device_count()
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return [torch.device("cpu")]
    gpus = [torch.device("cuda", index) for index in range(count)]
    if wanted == "auto":
        return gpus
    asked = torch.device("cuda", torch.device(wanted).index or 0)
    if asked not in gpus:
        raise BadInput(f"train.device={wanted}: this machine has {count} CUDA devices")
    return [asked]


def places(wanted: str, jobs_per_device: int) -> int:
    """How many runs may train at a time on this machine."""
    return len(available(wanted)) * jobs_per_device


@contextmanager
def reserved(wanted: str, jobs_per_device: int) -> Iterator[torch.device]:
    """Wait for a free place on a device and hold it; the system frees it when the process dies.

    Places are shared by all sweeps of one user on this machine.

    Raises:
        interrupt.Interrupted: told to stop while waiting.
    """
    folder = Path(tempfile.gettempdir()) / f"adamily-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    candidates = list(itertools.product(range(jobs_per_device), available(wanted)))
    while True:
        for place, device in candidates:
            lock = FileLock(folder / f"{identifier(device)}-{place}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        interrupt.heed_sweep()
        if interrupt.received():
            raise interrupt.Interrupted
        time.sleep(POLL_SECONDS)


def identifier(device: torch.device) -> str:
    """A name that does not change with CUDA_VISIBLE_DEVICES."""
    if device.type == "cpu":
        return "cpu"
    return f"gpu-{torch.cuda.get_device_properties(device).uuid}"
