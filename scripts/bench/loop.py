"""What the training loop costs over a bare loop, and how long it takes to its first step."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch

from engine.config import compose
from engine.loggers import Loggers, RunInfo
from engine.loop import train
from engine.run import Run
from engine.session import Session
from scripts.bench import waiting
from scripts.bench.bare import ENDLESS, TASK, bare_steps
from scripts.bench.race import ratio, wait_for

STEPS = 40
STARTS = 5


class Silent:
    """A progress line that shows nothing."""

    def update(self, step: int, metrics: dict[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


def report(device_setting: str, device: torch.device, rounds: int) -> None:
    """Print the measurements; `device_setting` is the device as typed, such as "auto"."""
    print(f"{device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(loop_cost(device, rounds))
    for logger in ("none", "wandb"):
        print(start_up(device_setting, logger))
    if device.type == "cpu" and torch.get_num_threads() > 1:
        print(waiting.report(max(2, rounds // 3)))


def loop_cost(device: torch.device, rounds: int) -> str:
    """The times of a step of mnist_fc2 in both loops and their ratio, as a sentence."""
    bare, loop = by_turns(TASK, STEPS, device, rounds)
    spread = ratio(loop, bare)
    return (
        f"step: bare {median(bare) * 1e3:.2f} ms, loop {median(loop) * 1e3:.2f} ms; "
        f"ratio {spread.middle:.3f} (quartiles {spread.low:.3f} to {spread.high:.3f}, "
        f"{rounds} rounds of {STEPS} steps)"
    )


def by_turns(
    overrides: Sequence[str],
    steps: int,
    device: torch.device,
    rounds: int,
    resident: bool = False,
) -> tuple[list[float], list[float]]:
    """Seconds of a step in a bare loop and in the training loop, by turns in one process.

    Args:
        overrides: of the config; they choose the task.
        steps: of each loop in a round.
        device: where both train.
        rounds: that are counted; one before them warms up.
        resident: whether the bare loop trains on the task's first batch again and again; else it
            asks the task for each batch as the training loop does.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = compose([*overrides, *ENDLESS, f"paths.runs={folder}"])
        loop_session, bare_session = Session(config, device), Session(config, device)
        first_batch = bare_session.task.batch(0)
        batches = (lambda step: first_batch) if resident else bare_session.task.batch
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, {}, {}, run.folder))
        pairs = [
            (
                bare_steps(bare_session, steps, batches) / steps,
                loop_steps(loop_session, steps, run, loggers) / steps,
            )
            for _ in range(rounds + 1)
        ]
    bare_seconds, loop_seconds = map(list, zip(*pairs[1:], strict=True))
    return bare_seconds, loop_seconds


class StopTraining(Exception):
    """Ends the training loop between two steps."""


def loop_steps(session: Session, steps: int, run: Run, loggers: Loggers) -> float:
    """Seconds for that many steps of `scripts.train`, none of them evaluated.

    An evaluation also observes its step, once in hundreds of steps; in so short a round it would
    weigh far more than in a run.
    """
    task, end, batch = session.task, session.step + steps, session.task.batch

    def until_end(step: int) -> Any:
        if step == end:
            raise StopTraining
        return batch(step)

    task.batch = until_end
    wait_for(session.device)
    began = time.perf_counter()
    with suppress(StopTraining):
        train(session, run, loggers, Silent())
    wait_for(session.device)
    seconds = time.perf_counter() - began
    task.batch = batch
    return seconds


def start_up(device: str, logger: str) -> str:
    """Seconds from the command to its first recorded step, evaluation of it included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scripts.train", *TASK, f"train.device={device}"]
        command += [f"logger={logger}", "task.steps=1"]
        times = []
        for index in range(STARTS + 1):  # the first warms the disk
            began = time.time()
            arguments = [*command, f"seed={index}", f"paths.runs={folder}"]
            subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
            recorded = max(path.stat().st_mtime for path in Path(folder).rglob("metrics.jsonl"))
            times.append(recorded - began)
    return (
        f"start-up to the first step, logger={logger}: median {median(times[1:]):.2f} s "
        f"({min(times[1:]):.2f} to {max(times[1:]):.2f}, {STARTS} starts)"
    )
