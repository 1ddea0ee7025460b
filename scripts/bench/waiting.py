"""What it costs, and saves beside a busy process, that a run's waiting threads sleep early.

`python -m scripts.bench.waiting` is the process that is measured: for each line of its standard
input it takes some steps, and prints the seconds of one.
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
SPIN_COUNTS = (0, 1_000, 3_000, SPIN_COUNT, 20_000, 100_000)

# What GNU's OpenMP does by itself.
OPENMP_DEFAULT = "300,000 turns: OpenMP by itself"

BUSY = "while True: pass"


class Stepper(Protocol):
    """Takes some steps and returns the seconds of one."""

    def __call__(self) -> float: ...


def wait_policies() -> dict[str, dict[str, str]]:
    """Policies by which threads wait for each other, as environment variables."""
    policies = {OPENMP_DEFAULT: {"GOMP_SPINCOUNT": "300000"}}
    for count in SPIN_COUNTS:
        name = f"{count:,} turns" + (": here" if count == SPIN_COUNT else "")
        policies[name] = {"GOMP_SPINCOUNT": str(count)}
    return policies | {
        "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }


def report(rounds: int) -> str:
    """A step of mnist_fc2 under each policy, alone and beside a busy process, as a table."""
    with ExitStack() as stack:
        steppers = {
            name: stack.enter_context(stepper(policy)) for name, policy in wait_policies().items()
        }
        alone = by_turns(steppers, rounds)
        with process(sys.executable, "-c", BUSY):
            beside = by_turns(steppers, rounds)
    openmp_alone = alone[OPENMP_DEFAULT]
    rows = []
    for name in steppers:
        row = [name]
        for times in (alone[name], beside[name]):
            row += [f"{median(times) * 1e3:.2f} ms", show(ratio(times, openmp_alone))]
        rows.append(row)
    titles = ["waiting", "alone", "÷ OpenMP's own alone", "beside a busy process", "÷ the same"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    heading = f"A bare step of mnist_fc2 by {torch.get_num_threads()} threads on {cores} cores, "
    heading += (
        f"by how threads wait; {rounds} rounds of {STEPS} steps, load {os.getloadavg()[0]:.1f}"
    )
    return f"{heading}\n{markdown(titles, rows)}"


def by_turns(steppers: Mapping[str, Stepper], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step in each round; by turns, so that other load on the machine slows all."""
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(rounds):
        for name, step in steppers.items():
            times[name].append(step())
    return times


@contextmanager
def stepper(policy: Mapping[str, str]) -> Iterator[Stepper]:
    """A process whose threads wait by that policy, idle until it is called."""
    inherited = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-m", "scripts.bench.waiting", *TASK]
    with process(*command, environment=inherited | dict(policy)) as child:
        assert child.stdin is not None and child.stdout is not None
        child_input, child_output = child.stdin, child.stdout

        def step() -> float:
            child_input.write("\n")
            child_input.flush()
            return float(child_output.readline())

        step()  # returns once the process has started and warmed up
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


def serve(overrides: Sequence[str]) -> None:
    session = Session(compose([*overrides, *ENDLESS]), torch.device("cpu"))
    bare_steps(session, WARM_UP, session.task.batch)
    for _ in sys.stdin:
        print(bare_steps(session, STEPS, session.task.batch) / STEPS, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
