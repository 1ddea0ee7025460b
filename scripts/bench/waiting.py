"""What it costs, and saves beside a busy process, that a run's waiting threads sleep early.

`python -m scripts.bench.waiting` is what is measured: it takes steps for each line that it is sent,
and answers with the seconds of one.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Protocol

import torch

from engine.config import compose
from engine.openmp import CHOICES, SPIN_COUNT
from engine.session import Session
from scripts.bench.bare import ENDLESS, TASK, bare_steps
from scripts.bench.page import markdown, show
from scripts.bench.race import ratio

STEPS = 20
WARM_UP = 10
COUNTS = (0, 1_000, 3_000, SPIN_COUNT, 20_000, 100_000)

# What GNU's OpenMP does by itself.
OWN = "300,000 turns: OpenMP by itself"

BUSY = "while True: pass"


class Stepper(Protocol):
    """Takes some steps and returns the seconds of one."""

    def __call__(self) -> float: ...


def ways() -> dict[str, dict[str, str]]:
    """Ways in which threads wait for each other, as environment variables."""
    spin = {OWN: {"GOMP_SPINCOUNT": "300000"}}
    for count in COUNTS:
        name = f"{count:,} turns" + (": here" if count == SPIN_COUNT else "")
        spin[name] = {"GOMP_SPINCOUNT": str(count)}
    return spin | {
        "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }


def report(rounds: int) -> str:
    """A step of mnist_fc2 in each way, alone and beside a busy process, as a table."""
    with ExitStack() as started:
        steppers = {name: started.enter_context(stepper(way)) for name, way in ways().items()}
        alone = by_turns(steppers, rounds)
        with process(sys.executable, "-c", BUSY):
            beside = by_turns(steppers, rounds)
    own = alone[OWN]
    rows = []
    for name in steppers:
        row = [name]
        for times in (alone[name], beside[name]):
            row += [f"{median(times) * 1e3:.2f} ms", show(ratio(times, own))]
        rows.append(row)
    titles = ["waiting", "alone", "÷ OpenMP's own alone", "beside a busy process", "÷ the same"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = f"A bare step of mnist_fc2 by {torch.get_num_threads()} threads on {cores} cores, "
    about += f"by how threads wait; {rounds} rounds of {STEPS} steps, load {os.getloadavg()[0]:.1f}"
    return f"{about}\n{markdown(titles, rows)}"


def by_turns(steppers: Mapping[str, Stepper], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step in each round; whatever comes and goes on the machine meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(rounds):
        for name, step in steppers.items():
            times[name].append(step())
    return times


@contextmanager
def stepper(way: Mapping[str, str]) -> Iterator[Stepper]:
    """A process whose threads wait in that way, at rest until it is called."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-m", "scripts.bench.waiting", *TASK]
    with process(*command, environment=kept | dict(way)) as child:
        assert child.stdin is not None and child.stdout is not None
        asked, told = child.stdin, child.stdout

        def step() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        step()  # returns once it is there, and warm
        yield step


@contextmanager
def process(
    *command: str, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A process that ends with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, encoding="utf-8", env=environment
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def answer(overrides: Sequence[str]) -> None:
    session = Session(compose([*overrides, *ENDLESS]), torch.device("cpu"))
    bare_steps(session, WARM_UP, session.task.batch)
    for _ in sys.stdin:
        print(bare_steps(session, STEPS, session.task.batch) / STEPS, flush=True)


if __name__ == "__main__":
    answer(sys.argv[1:])
