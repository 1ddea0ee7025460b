"""Which devices a run trains on, and one run at a time on each."""

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

# What this process began with; a run may train with fewer, or go on with the number it had.
THREADS = torch.get_num_threads()

# As in the config: a number, or "auto".
Jobs = int | str


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


def cores() -> int:
    """How many cores this process may use, by its affinity and its container's share of the CPU."""
    import joblib

    return joblib.cpu_count()


def slots_per_device(device: torch.device, jobs_per_device: Jobs) -> int:
    """How many runs may train at a time on a device.

    "auto" means one on a GPU. On the CPU it means one for each core: threads that wait for each
    other cost more than they bring where a network is small or others use the machine, too.
    """
    if jobs_per_device != "auto":
        return int(jobs_per_device)
    return cores() if device.type == "cpu" else 1


def threads(wanted: str, jobs_per_device: Jobs) -> int:
    """How many threads a process in one slot has: the CPU's slots share its cores."""
    device = available(wanted)[0]
    if device.type != "cpu":
        return THREADS
    return max(1, min(THREADS, cores() // slots_per_device(device, jobs_per_device)))


def slots(wanted: str, jobs_per_device: Jobs, devices_per_run: int = 1) -> int:
    """How many runs may train at a time on this machine.

    Raises:
        BadInput: there are not enough devices for one.
    """
    devices = available(wanted)
    each = slots_per_device(devices[0], jobs_per_device)
    if devices[0].type == "cpu" and devices_per_run > each:
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: the CPU counts as {each} device(s) "
            f"(sweep.jobs_per_device={jobs_per_device}); set sweep.jobs_per_device higher, too"
        )
    if devices[0].type == "cuda" and devices_per_run > len(devices):
        raise BadInput(
            f"sweep.devices_per_run={devices_per_run}: train.device={wanted} stands for "
            f"{len(devices)} GPU(s) of this machine"
        )
    return len(devices) * each // devices_per_run


@contextmanager
def reserved(
    wanted: str, jobs_per_device: Jobs, devices_per_run: int = 1
) -> Iterator[list[torch.device]]:
    """Wait for free slots and hold them; the system frees them when the process dies.

    They are on different GPUs, or all on the CPU, and are shared by all sweeps of one user on this
    machine.

    Raises:
        interrupt.Interrupted: told to stop while waiting.
    """
    folder = Path(tempfile.gettempdir()) / f"adamily-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    devices = available(wanted)
    numbers = range(slots_per_device(devices[0], jobs_per_device))
    candidates = [
        DeviceSlot(folder, device, n) for n, device in itertools.product(numbers, devices)
    ]
    while True:
        with ExitStack() as held:
            # One at a time: two runs that each held half of what both need would wait for ever.
            with locked(folder / "choosing.lock"):
                taken = take(held, candidates, devices_per_run)
                if len(taken) < devices_per_run:
                    say_who_holds(candidates)
            if len(taken) == devices_per_run:
                yield taken
                return
        interrupt.check_sweep_stopped()
        if interrupt.received():
            raise interrupt.Interrupted
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class DeviceSlot:
    """One of the runs that may train on a device at a time: the lock that this run holds."""

    folder: Path
    device: torch.device
    number: int

    def hold(self) -> AbstractContextManager[None]:
        """Raise filelock.Timeout where another run has the slot."""
        return locked(self.folder / f"{self._name}.lock", patience=0)

    def sign(self) -> None:
        """Write down who holds it now; whoever dies leaves that behind, but not the lock."""
        with suppress(OSError):  # as on a full disk
            self._holder.write_text(interrupt.sweep_name(), encoding="utf-8")

    def signed(self) -> str | None:
        """Who holds it; None where nobody does."""
        try:
            with self.hold():
                return None
        except Timeout:
            known = self._holder.exists()
            return (known and self._holder.read_text(encoding="utf-8")) or "another process"

    @property
    def _name(self) -> str:
        return f"{identifier(self.device)}-{self.number}"

    @property
    def _holder(self) -> Path:
        return self.folder / f"{self._name}.holder"


def take(held: ExitStack, candidates: Iterable[DeviceSlot], count: int) -> list[torch.device]:
    """Lock up to `count` slots that are free, and return their devices."""
    devices = []
    for slot in candidates:
        if len(devices) == count:
            break
        if slot.device.type == "cuda" and slot.device in devices:
            continue
        with suppress(Timeout):
            held.enter_context(slot.hold())
            slot.sign()
            devices.append(slot.device)
    return devices


def say_who_holds(candidates: Sequence[DeviceSlot]) -> None:
    """Say, once in a sweep, which others hold the slots that it waits for.

    Only while this process may choose: whoever holds a slot has then signed.
    """
    holders = {holder for slot in candidates if (holder := slot.signed())}
    others = sorted(holders - {interrupt.sweep_name()})
    if others and interrupt.first_in_sweep("waiting"):
        what = "the CPU" if candidates[0].device.type == "cpu" else "a GPU"
        say(f"waiting for {what}: held by {' and '.join(others)}")


def identifier(device: torch.device) -> str:
    """A name that does not change with CUDA_VISIBLE_DEVICES."""
    if device.type == "cpu":
        return "cpu"
    return f"gpu-{torch.cuda.get_device_properties(device).uuid}"
