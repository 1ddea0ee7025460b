"""Which devices a run trains on, and one run at a time on each."""

import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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


def places(wanted: str, jobs_per_device: int, devices_per_run: int = 1) -> int:
    """How many runs may train at a time on this machine.

    Raises:
        BadInput: there are not enough devices for one.
    """
    devices = available(wanted)
    if devices[0].type == "cpu" and devices_per_run > jobs_per_device:
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: the CPU counts as "
            f"sweep.jobs_per_device={jobs_per_device} devices; set that higher, too"
        )
    if devices[0].type == "cuda" and devices_per_run > len(devices):
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: train.device={wanted} stands for "
            f"{len(devices)} GPU(s) of this machine"
        )
    return len(devices) * jobs_per_device // devices_per_run


@contextmanager
def reserved(
    wanted: str, jobs_per_device: int, devices_per_run: int = 1
) -> Iterator[list[torch.device]]:
    """Wait for free places and hold them; the system frees them when the process dies.

    They are on different GPUs, or all on the CPU, and are shared by all sweeps of one user on this
    machine.

    Raises:
        interrupt.Interrupted: told to stop while waiting.
    """
    folder = Path(tempfile.gettempdir()) / f"adamily-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    candidates = list(itertools.product(range(jobs_per_device), available(wanted)))
    while True:
        with ExitStack() as held:
            # One at a time: two runs that each held half of what both need would wait for ever.
            with FileLock(folder / "choosing.lock"):
                devices = take(held, folder, candidates, devices_per_run)
            if len(devices) == devices_per_run:
                yield devices
                return
        interrupt.heed_sweep()
        if interrupt.received():
            raise interrupt.Interrupted
        time.sleep(POLL_SECONDS)


def take(
    held: ExitStack,
    folder: Path,
    candidates: Iterable[tuple[int, torch.device]],
    count: int,
) -> list[torch.device]:
    """Lock up to `count` places that are free, and return their devices."""
    devices = []
    for place, device in candidates:
        if len(devices) == count:
            break
        if device.type == "cuda" and device in devices:
            continue
        lock = FileLock(folder / f"{identifier(device)}-{place}.lock", timeout=0)
        with suppress(Timeout):
            held.enter_context(lock)
            devices.append(device)
    return devices


def identifier(device: torch.device) -> str:
    """A name that does not change with CUDA_VISIBLE_DEVICES."""
    if device.type == "cpu":
        return "cpu"
    return f"gpu-{torch.cuda.get_device_properties(device).uuid}"
