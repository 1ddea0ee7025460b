"""The time of a run's training step, measured where no record knows it.

It is measured in a process of its own, which can be stopped, and leaves no memory, threads or
random numbers behind: `python -m engine.timing FILE` reads configs from its standard input and
writes a line for each.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from engine.devices import available, threads
from engine.loop import step
from engine.packages import find_project_packages, project_found_by_children
from engine.session import Session
from tasks import sources
from tasks.task import Context

STEPS = 4
# Of the processor, so that what is known does not depend on how busy it is; and on the clock.
PROCESSOR_SECONDS = 60
SECONDS = 300


def timed_steps(configs: Sequence[dict[str, Any]]) -> list[float | None]:
    """Seconds of a training step of each of some runs.

    None where that cannot be known: the data are not on this machine, since nothing is downloaded
    for this, a step fails, or it was not reached in a minute of the processor, as by a task that
    plays games for long before it learns.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answers = Path(scratch, "answers")
        answers.touch()
        command = [sys.executable, "-m", "engine.timing", str(answers)]
        asked = json.dumps(configs).encode()
        with project_found_by_children(), suppress(subprocess.TimeoutExpired):
            subprocess.run(command, input=asked, capture_output=True, timeout=SECONDS)
        *whole_lines, _ = answers.read_text(encoding="utf-8").split("\n")
    times = [json.loads(line) for line in whole_lines]
    return times + [None] * (len(configs) - len(times))


def measure(config: dict[str, Any], folder: Path) -> float:
    """The least time of a step but the first, which makes what is kept: other programs disturb."""
    device = available(config["train"]["device"])[0]
    torch.set_num_threads(threads(config["train"]["device"], config["sweep"]["jobs_per_device"]))
    session = Session(config | {"train": config["train"] | {"compile": False}}, device)
    session.task.bind(Context(folder))
    session.task.prepare()
    times = []
    for number in range(min(STEPS, session.task.steps)):
        start = time.perf_counter()
        loss = step(session, session.task.batch(number))
        session.optimizer.zero_grad()
        session.task.after_step(number)
        loss.item()  # waits for the device
        session.schedule.step()
        times.append(time.perf_counter() - start)
    return min(times[1:], default=times[0])


def main() -> None:
    find_project_packages()
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    answers = Path(sys.argv[1])  # what a task prints is none
    for config in json.load(sys.stdin):
        seconds = None
        with suppress(Exception), sources.offline(), tempfile.TemporaryDirectory() as scratch:
            seconds = measure(config, Path(scratch))
        with answers.open("a", encoding="utf-8") as file:
            file.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
