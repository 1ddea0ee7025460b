"""Which devices a run trains on, and how many runs train on each at a time."""

import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import Timeout

from engine import interrupt
from engine.checks import BadInput
from engine.console import say
from engine.shared import locked

POLL_SECONDS = 0.2

# The number that this process started with; a run may train with fewer, or with what it had before.
THREADS = torch.get_num_threads()

# As in the config: a number, or "auto".
JobsPerDevice = int | str


def available(requested: str) -> list[torch.device]:
    """The devices that `train.device` names; "auto" means every GPU, or else the CPU.

    Raises:
        BadInput: a GPU that is not there.
    """
    count = torch.cuda.device_count()
    if requested == "cpu" or (requested == "auto" and count == 0):
        return [torch.device("cpu")]
    gpus = [torch.device("cuda", index) for index in range(count)]
    if requested == "auto":
        return gpus
    gpu = torch.device("cuda", torch.device(requested).index or 0)
    if gpu not in gpus:
        raise BadInput(f"train.device={requested}: this machine has {count} CUDA devices")
    return [gpu]


def cores() -> int:
    """How many cores this process may use, by its affinity and its container's share of the CPU."""
    import joblib

    return joblib.cpu_count()


def slots_per_device(device: torch.device, jobs_per_device: JobsPerDevice) -> int:
    """How many runs may train at a time on a device.

    "auto" means one on a GPU. On the CPU it means one for each core: threads that wait for each
    other cost more than they bring where a network is small or others use the machine, too.
    """
    if jobs_per_device != "auto":
        return int(jobs_per_device)
    return cores() if device.type == "cpu" else 1


def threads(requested: str, jobs_per_device: JobsPerDevice) -> int:
    """How many threads a process in one slot uses: the CPU's slots share its cores."""
    device = available(requested)[0]
    if device.type != "cpu":
        return THREADS
    return max(1, min(THREADS, cores() // slots_per_device(device, jobs_per_device)))


def slots(requested: str, jobs_per_device: JobsPerDevice, devices_per_run: int = 1) -> int:
    """How many runs may train at a time on this machine.

    Raises:
        BadInput: there are not enough devices for one run.
    """
    devices = available(requested)
    per_device = slots_per_device(devices[0], jobs_per_device)
    if devices[0].type == "cpu" and devices_per_run > per_device:
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: the CPU counts as {per_device} device(s) "
            f"(sweep.jobs_per_device={jobs_per_device}); set sweep.jobs_per_device higher, too"
        )
    if devices[0].type == "cuda" and devices_per_run > len(devices):
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: train.device={requested} stands for "
            f"{len(devices)} GPU(s) of this machine"
        )
    return len(devices) * per_device // devices_per_run


@contextmanager
def reserved(
    requested: str, jobs_per_device: JobsPerDevice, devices_per_run: int = 1
) -> Iterator[list[torch.device]]:
    """Wait for free slots and hold them; the system frees them when the process dies.

    They are on different GPUs, or all on the CPU, and are shared by all sweeps of one user on this
    machine.

    Raises:
        interrupt.Interrupted: told to stop while waiting.
    """
    folder = Path(tempfile.gettempdir()) / f"adamily-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    devices = available(requested)
    slot_numbers = range(slots_per_device(devices[0], jobs_per_device))
    candidates = [
        DeviceSlot(folder, device, number)
        for number, device in itertools.product(slot_numbers, devices)
    ]
    while True:
        with ExitStack() as locks:
            # One process at a time: two runs that each hold half of what both need would deadlock.
            with locked(folder / "choosing.lock"):
                acquired = acquire(locks, candidates, devices_per_run)
                if len(acquired) < devices_per_run:
                    report_holders(candidates)
            if len(acquired) == devices_per_run:
                yield acquired
                return
        interrupt.check_sweep_stopped()
        if interrupt.received():
            raise interrupt.Interrupted
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class DeviceSlot:
    """A slot for one of the runs that may train on a device at a time, with its lock."""

    folder: Path
    device: torch.device
    number: int

    def lock(self) -> AbstractContextManager[None]:
        """Raise filelock.Timeout where another run has the slot."""
        return locked(self.folder / f"{self._name}.lock", patience=0)

    def write_holder(self) -> None:
        """Note that this process's sweep holds it; a process that dies frees only the lock."""
        with suppress(OSError):  # as on a full disk
            self._holder_file.write_text(interrupt.sweep_name(), encoding="utf-8")

    def read_holder(self) -> str | None:
        """The sweep or process that holds it; None where none does."""
        try:
            with self.lock():
                return None
        except Timeout:
            file = self._holder_file
            return (file.exists() and file.read_text(encoding="utf-8")) or "another process"

    @property
    def _name(self) -> str:
        return f"{identifier(self.device)}-{self.number}"

    @property
    def _holder_file(self) -> Path:
        return self.folder / f"{self._name}.holder"


def acquire(locks: ExitStack, candidates: Iterable[DeviceSlot], count: int) -> list[torch.device]:
    """Lock up to `count` slots that are free, and return their devices."""
    devices = []
    for slot in candidates:
        if len(devices) == count:
            break
        if slot.device.type == "cuda" and slot.device in devices:
            continue
        with suppress(Timeout):
            locks.enter_context(slot.lock())
            slot.write_holder()
            devices.append(slot.device)
    return devices


def report_holders(candidates: Sequence[DeviceSlot]) -> None:
    """Print, once in a sweep, which other sweeps hold the slots that it waits for.

    To be called with choosing.lock held: then every holder has written its name.
    """
    holders = {holder for slot in candidates if (holder := slot.read_holder())}
    others = sorted(holders - {interrupt.sweep_name()})
    if others and interrupt.first_in_sweep("waiting"):
        resource = "the CPU" if candidates[0].device.type == "cpu" else "a GPU"
        say(f"waiting for {resource}: held by {' and '.join(others)}")


def identifier(device: torch.device) -> str:
    """A name that does not change with CUDA_VISIBLE_DEVICES."""
    if device.type == "cpu":
        return "cpu"
    return f"gpu-{torch.cuda.get_device_properties(device).uuid}"
