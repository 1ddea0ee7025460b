"""The time of a step: our optimizers in each executor, beside torch's Adam and peers."""

import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from engine.files import write_text
from optim.executors import BATCH
from scripts.bench import sets
from scripts.bench.contenders import (
    MOST_COMPILED,
    PACKAGES,
    RULES,
    YARDSTICKS,
    installed,
    ours,
    peers,
)
from scripts.bench.memory import copy_bandwidth, floor_share, peak_of_step, words
from scripts.bench.page import markdown, publish, show
from scripts.bench.race import Racer, Spread, draw_gradients, race, ratio
from scripts.bench.sets import Shape

SETS: dict[str, list[Shape]] = {
    "resnet": sets.resnet18(),
    "lstm": sets.lstm(),
    "many": sets.many(),
}
LARGE_SETS: dict[str, list[Shape]] = {"resnet, three times as wide": sets.resnet18(192)}
ADAMS = {"F": "torch, foreach", "U": "torch, fused"}

NOTES = """\
One step of each contender by turns, each round in a random order; medians, and in brackets the
quartiles of the ratios of one round. F is `torch.optim.Adam(foreach=True)`, U `Adam(fused=True)` on
the same tensors. F allocates temporaries as large as the model, so that it also varies with the
state of the allocator; U does not. Peers compile one program for the whole list of tensors, which
takes many minutes where there are many: they are left out there. On a GPU these are times of steps
one after another, which the host decides where tensors are small. "GPU ms" is what the GPU takes
where the host is ahead of it, as behind a backward pass; "bandwidth" is the share of it in which a
copy moves as many bytes as the rule has to.
"""


class Line(NamedTuple):
    """What was measured of one contender.

    Attributes:
        milliseconds: of a step.
        to_foreach, to_fused: that over a step of torch's Adam in the same round.
        gpu: milliseconds of a step on the GPU alone, where the host is ahead of it; None on a CPU.
        floor: the part of those that moving its bytes takes at least; None on a CPU.
    """

    rule: str
    contender: str
    milliseconds: Spread
    to_foreach: Spread
    to_fused: Spread
    gpu: Spread | None
    floor: float | None


class Memory(NamedTuple):
    """Most that a default step holds beyond parameters, gradients and state, in elements."""

    rule: str
    elements: int
    batches: float


def report(device: torch.device, rounds: int, out: str | None) -> None:
    """Measure all sets and print the tables; write them where a folder is given, and as CSV."""
    for package in PACKAGES:
        if not installed(package):
            print(f"{package} is not installed and left out: pip install 'adamily[bench]'")
    if device.type == "cpu":
        torch.set_num_threads(1)
    chosen_sets = SETS if device.type == "cpu" else SETS | LARGE_SETS
    bandwidth = copy_bandwidth(device) if device.type == "cuda" else None
    measured: dict[str, list[Line]] = {}

    def race_set(name: str) -> str:
        measured[name] = measure(chosen_sets[name], device, rounds, bandwidth)
        return section(name, chosen_sets[name], measured[name])

    sections = [lambda: notes(bandwidth), *(partial(race_set, name) for name in chosen_sets)]
    if device.type == "cpu":
        sections.append(lambda: peak_table(peaks(SETS["resnet"])))
    title = "The time of an optimizer's step"
    path = publish(title, "step", device, rounds, PACKAGES, sections, out)
    if path:
        write_text(path.with_suffix(".csv"), as_csv(measured))


def measure(
    shapes: list[Shape],
    device: torch.device,
    rounds: int,
    bandwidth: float | None,
    most_compiled: int = MOST_COMPILED,
) -> list[Line]:
    """A line for every contender, rule by rule; rules are raced one after another.

    Peers that compile take part where there are `most_compiled` tensors at most.
    """
    gradients = draw_gradients(shapes, device)
    yardsticks = {name: Racer(shapes, device, begin) for name, begin in YARDSTICKS.items()}
    lines = []
    for rule in RULES:
        makers = ours(rule) | peers(rule, len(shapes) <= most_compiled)
        racers = yardsticks | {name: Racer(shapes, device, make) for name, make in makers.items()}
        times = race(racers, gradients, rounds, steps=1 if device.type == "cpu" else 10)
        new = [(rule, name, name) for name in makers]
        # The yardsticks have lines of their own, once.
        shown = new if lines else [("Adam", text, name) for name, text in ADAMS.items()] + new
        for label, contender, name in shown:
            line = compare(label, contender, times, name)
            if bandwidth:
                line = with_gpu(line, racers[name], gradients, rounds, bandwidth)
            lines.append(line)
            timing = f"{line.milliseconds.middle:8.2f} ms {line.to_foreach.middle:6.2f} F"
            print(
                f"  {label:24}{contender:28}{timing} {line.to_fused.middle:6.2f} U", file=sys.stderr
            )
    return lines


def with_gpu(
    line: Line,
    racer: Racer,
    gradients: Sequence[Sequence[Tensor]],
    rounds: int,
    bandwidth: float,
) -> Line:
    """The line with the time on the GPU, and the share of `bandwidth` (bytes a second) in it."""
    tries = (racer.take_on_gpu(gradients[i % len(gradients)]) for i in range(rounds))
    seconds = Spread.of(list(tries))
    count = sum(parameter.numel() for parameter in racer.parameters)
    share = floor_share(words(racer.optimizer), count, seconds.middle, bandwidth)
    return line._replace(gpu=Spread(*(1e3 * value for value in seconds)), floor=share)


def compare(rule: str, contender: str, times: dict[str, list[float]], name: str) -> Line:
    """The line of the contender that has that name in the times of all."""
    seconds = times[name]
    milliseconds = Spread.of([1e3 * value for value in seconds])
    to_foreach, to_fused = ratio(seconds, times["F"]), ratio(seconds, times["U"])
    return Line(rule, contender, milliseconds, to_foreach, to_fused, None, None)


def peaks(shapes: list[Shape]) -> list[Memory]:
    """The memory that a step of each rule in its default executor takes, on a CPU."""
    device = torch.device("cpu")
    gradient: list[Tensor] = draw_gradients(shapes, device)[0]
    memory = []
    for rule in RULES:
        racer = Racer(shapes, device, ours(rule)["optim, foreach"])
        racer.take(gradient, 1)
        peak_elements = peak_of_step(racer.optimizer) // 4
        memory.append(Memory(rule, peak_elements, peak_elements / BATCH))
    return memory


def elements(shapes: list[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)


# -- tables ----------------------------------------------------------------------------------------


def notes(bandwidth: float | None) -> str:
    """Notes on the numbers; with a device's bandwidth, in bytes a second, where it was measured."""
    copied = f"A copy moves {bandwidth / 1e9:.0f} GB/s.\n" if bandwidth else ""
    return NOTES + copied


def section(name: str, shapes: list[Shape], lines: Sequence[Line]) -> str:
    title = f"## {name}: {len(shapes)} tensors, {elements(shapes) / 1e6:.1f}M elements"
    return f"{title}\n\n{table(lines)}"


def table(lines: Sequence[Line]) -> str:
    titles = ["rule", "who", "ms", "÷ F", "÷ U"]
    rows = [
        [
            line.rule,
            line.contender,
            f"{line.milliseconds.middle:.2f}",
            show(line.to_foreach),
            show(line.to_fused),
        ]
        for line in lines
    ]
    if any(line.gpu for line in lines):
        titles += ["GPU ms", "bandwidth"]
        for row, line in zip(rows, lines, strict=True):
            row += [f"{line.gpu.middle:.3f}", f"{line.floor:.0%}"] if line.gpu else ["", ""]
    return markdown(titles, rows)


def peak_table(memory: Sequence[Memory]) -> str:
    rows = [
        [peak.rule, f"{4 * peak.elements / 1e6:.2f} MB", f"{peak.batches:.2f}"] for peak in memory
    ]
    titles = ["rule", "peak", "tensors of one batch"]
    note = "Most that a default step holds beyond parameters, gradients and state, on resnet.\n"
    return f"## Memory\n\n{note}\n{markdown(titles, rows)}"


def spread_out(line: Line) -> list[float | None]:
    gpu = line.gpu or (None, None, None)
    return [*line.milliseconds, *line.to_foreach, *line.to_fused, *gpu]


def as_csv(measured: Mapping[str, Sequence[Line]]) -> str:
    """All numbers unrounded, one row for each contender."""
    spreads = ("milliseconds", "to_foreach", "to_fused", "gpu_milliseconds")
    numbers = [f"{name}_{part}" for name in spreads for part in Spread._fields]
    rows = [
        (name, line.rule, line.contender, *spread_out(line), line.floor)
        for name, lines in measured.items()
        for line in lines
    ]
    table = pd.DataFrame(rows, columns=["set", "rule", "contender", *numbers, "floor"])
    return table.to_csv(index=False, lineterminator="\n")
