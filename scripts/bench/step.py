"""What a step costs: our optimizers in every way to run them, beside torch's Adam and peers."""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.environment import environment
from optim.executors import BATCH
from scripts.bench import sets
from scripts.bench.contenders import PACKAGES, RULES, YARDSTICKS, installed, ours, peers
from scripts.bench.memory import copy_bandwidth, floor_share, peak_of_step, words
from scripts.bench.page import write
from scripts.bench.race import Racer, Spread, draw_gradients, race, ratio
from scripts.bench.sets import Shape

SETS: dict[str, list[Shape]] = {
    "resnet": sets.resnet18(),
    "lstm": sets.lstm(),
    "many": sets.many(),
}
LARGE_SETS: dict[str, list[Shape]] = {"resnet, three times as wide": sets.resnet18(192)}


class Line(NamedTuple):
    """What was measured of one contender.

    Attributes:
        milliseconds: of a step.
        to_foreach, to_fused: that over a step of torch's Adam in the same round.
        floor: share of the step's time that moving its bytes takes at least; None on a CPU.
    """

    rule: str
    contender: str
    milliseconds: Spread
    to_foreach: Spread
    to_fused: Spread
    floor: float | None


class Memory(NamedTuple):
    """Most that a default step holds beyond parameters, gradients and state, in elements."""

    rule: str
    elements: int
    batches: float


def report(device: torch.device, rounds: int) -> None:
    """Measure all sets, print the tables, and write them into results/bench."""
    for package in PACKAGES:
        if not installed(package):
            print(f"{package} is not installed and left out: pip install 'adamily[bench]'")
    if device.type == "cpu":
        torch.set_num_threads(1)
    about = environment(device)
    bandwidth = copy_bandwidth(device) if device.type == "cuda" else None
    chosen = SETS if device.type == "cpu" else SETS | LARGE_SETS
    memory = peaks(SETS["resnet"]) if device.type == "cpu" else []
    counts = {name: (len(shapes), elements(shapes)) for name, shapes in chosen.items()}
    measured = {}
    for name, shapes in chosen.items():
        print(f"{name}:", flush=True)
        measured[name] = measure(shapes, device, rounds, bandwidth)
        # After each, since a set takes minutes.
        path = write(Path("results/bench"), about, rounds, bandwidth, counts, measured, memory)
        print(f"Table: {path}")


def measure(
    shapes: list[Shape], device: torch.device, rounds: int, bandwidth: float | None
) -> list[Line]:
    """A line for every contender, rule by rule; rules are raced one after another."""
    gradients = draw_gradients(shapes, device)
    yardsticks = {name: Racer(shapes, device, begin) for name, begin in YARDSTICKS.items()}
    lines = []
    for rule in RULES:
        begins = ours(rule) | peers(rule, len(shapes))
        racers = yardsticks | {name: Racer(shapes, device, b) for name, b in begins.items()}
        times = race(racers, gradients, rounds, steps=1 if device.type == "cpu" else 10)
        for name in begins:
            line = compare(rule, name, times)
            if bandwidth:
                moved, size = words(racers[name].optimizer), elements(shapes)
                seconds = line.milliseconds.middle / 1e3
                line = line._replace(floor=floor_share(moved, size, seconds, bandwidth))
            lines.append(line)
            say = f"{line.milliseconds.middle:8.2f} ms {line.to_foreach.middle:6.2f} F"
            print(f"  {rule:24}{name:28}{say} {line.to_fused.middle:6.2f} U", flush=True)
    return lines


def compare(rule: str, contender: str, times: dict[str, list[float]]) -> Line:
    own = times[contender]
    milliseconds = Spread.of([1e3 * seconds for seconds in own])
    return Line(rule, contender, milliseconds, ratio(own, times["F"]), ratio(own, times["U"]), None)


def peaks(shapes: list[Shape]) -> list[Memory]:
    """The memory that the default way to run each rule needs, on a CPU."""
    device = torch.device("cpu")
    gradient: list[Tensor] = draw_gradients(shapes, device)[0]
    found = []
    for rule in RULES:
        racer = Racer(shapes, device, ours(rule)["optim, foreach"])
        racer.take(gradient, 1)
        held = peak_of_step(racer.optimizer) // 4
        found.append(Memory(rule, held, held / BATCH))
    return found


def elements(shapes: list[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)
