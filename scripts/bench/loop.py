"""What the training loop costs over a bare loop, and how long it takes to its first step."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import torch

from results.loggers import Loggers, RunInfo
from results.run import Run
from scripts.bench.race import wait_for
from scripts.config import compose
from scripts.session import Session
from scripts.train import train

STEPS = 40
STARTS = 5
TASK = ["task=mnist_fc2", "data=sample"]


class Silent:
    """Progress that nobody sees."""

    def update(self, step: int, metrics: dict[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


def report(asked: str, device: torch.device, rounds: int) -> None:
    """Print both measurements; `asked` is the device as typed."""
    print(f"{device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(loop_cost(device, rounds))
    for logger in ("none", "wandb"):
        print(start_up(asked, logger))


def loop_cost(device: torch.device, rounds: int) -> str:
    """Time of a step in the loop over that in a bare loop, by turns in one process."""
    with tempfile.TemporaryDirectory() as folder:
        config = compose([*TASK, "logger=none", f"paths.runs={folder}", "task.eval_every=1000000"])
        ours, bare = Session(config, device), Session(config, device)
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, run.folder, 0))
        pairs = [(bare_steps(bare), loop_steps(ours, run, loggers)) for _ in range(rounds + 1)]
    times = pairs[1:]  # the first warms up
    ratios = [loop / alone for alone, loop in times]
    low, _, high = quantiles(ratios, n=4)
    alone, loop = (median(column) / STEPS * 1e3 for column in zip(*times, strict=True))
    return (
        f"step: bare {alone:.2f} ms, loop {loop:.2f} ms; ratio {median(ratios):.3f} "
        f"(quartiles {low:.3f} to {high:.3f}, {rounds} rounds of {STEPS} steps)"
    )


def bare_steps(session: Session) -> float:
    """Seconds for STEPS steps with nothing around them."""
    task, optimizer = session.task, session.optimizer
    began = time.perf_counter()
    for step in range(session.step, session.step + STEPS):
        task.loss(task.batch(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    wait_for(session.device)
    session.step += STEPS
    return time.perf_counter() - began


def loop_steps(session: Session, run: Run, loggers: Loggers) -> float:
    """Seconds for STEPS steps of `scripts.train`, without the evaluation that ends them."""
    session.task.steps = session.step + STEPS
    session.start_interval()
    train(session, run, loggers, Silent())
    return session.step_seconds[-1] * STEPS


def start_up(device: str, logger: str) -> str:
    """Seconds from the command to its first recorded step, evaluation of it included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scripts.train", *TASK, f"train.device={device}"]
        command += [f"logger={logger}", "task.steps=1"]
        times = []
        for start in range(STARTS + 1):  # the first warms the disk
            began = time.time()
            call = [*command, f"seed={start}", f"paths.runs={folder}"]
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            recorded = max(path.stat().st_mtime for path in Path(folder).rglob("metrics.jsonl"))
            times.append(recorded - began)
    return (
        f"start-up to the first step, logger={logger}: median {median(times[1:]):.2f} s "
        f"({min(times[1:]):.2f} to {max(times[1:]):.2f}, {STARTS} starts)"
    )
