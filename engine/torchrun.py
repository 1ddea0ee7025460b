"""A run of a sweep on several devices, trained by torchrun as a child process.

`python -m engine.torchrun` is torchrun, but ends when the process that started it ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from engine import interrupt
from engine.devices import POLL_SECONDS, JobsPerDevice, available, reserved, threads
from engine.run import Run
from engine.titles import run_title


def by_torchrun(run: Run, arguments: Sequence[str], share_devices: bool) -> str:
    """As `engine.execute.execute`, but by several processes that torchrun starts.

    Args:
        run: the run.
        arguments: the overrides that it was composed from, as typed.
        share_devices: wait for free slots on this machine's devices.

    Returns:
        What `execute` would; "died" where torchrun ended before the run did.
    """
    if interrupt.watch_signals():
        return "interrupted"
    if run.done:
        status = run.status or "paused"
        print(f"{run_title(run.config)} [{run.id}]: {status} before", flush=True)
        return status
    try:
        with devices_of(run.config, share_devices) as devices:
            wait_for(start(devices, arguments, run.config["sweep"]["jobs_per_device"]))
    except interrupt.Interrupted:
        return "interrupted"
    if run.done:
        return run.status or "paused"
    if interrupt.received():
        return "interrupted"
    if run.busy:
        return "busy"
    return "failed" if run.status == "failed" else "died"


@contextmanager
def devices_of(config: dict[str, Any], share_devices: bool) -> Iterator[list[torch.device]]:
    requested, sweep = config["train"]["device"], config["sweep"]
    if not share_devices:
        yield available(requested)[: sweep["devices_per_run"]]
        return
    with reserved(requested, sweep["jobs_per_device"], sweep["devices_per_run"]) as devices:
        yield devices


def start(
    devices: Sequence[torch.device], arguments: Sequence[str], jobs_per_device: JobsPerDevice
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.torchrun", "--standalone"]
    command += [f"--nproc-per-node={len(devices)}", "-m", "scripts.train", *arguments]
    environment = os.environ | {interrupt.PARENT: str(os.getpid())}
    if devices[0].type == "cuda":
        command.append("train.device=auto")
        environment["CUDA_VISIBLE_DEVICES"] = visible(devices)
    else:
        environment["OMP_NUM_THREADS"] = str(threads("cpu", jobs_per_device))
    return subprocess.Popen(command, env=environment)


def visible(devices: Sequence[torch.device]) -> str:
    """A value of CUDA_VISIBLE_DEVICES for these GPUs, by their names in its present value."""
    known = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = known.split(",") if known else [str(i) for i in range(torch.cuda.device_count())]
    return ",".join(names[device.index] for device in devices)


def wait_for(torchrun: subprocess.Popen[bytes]) -> None:
    """Wait until torchrun has ended; terminate it when this process is told to stop."""
    terminated = False
    while torchrun.poll() is None:
        interrupt.check_sweep_stopped()
        if interrupt.received() and not terminated:
            torchrun.terminate()
            terminated = True
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run torchrun, and print a line instead of a traceback where a process fails."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    interrupt.end_with_parent()
    os.environ[interrupt.PARENT] = str(os.getpid())
    try:
        torchrun()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"process {rank} of the run ended with exit code {failure.exitcode}", file=sys.stderr)
        sys.exit(1)
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)


if __name__ == "__main__":
    main()
