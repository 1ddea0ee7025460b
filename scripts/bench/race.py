"""Steps of several optimizers timed by turns in one process."""

import random
import time
from collections.abc import Sequence
from statistics import quantiles
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from scripts.bench.contenders import MakeOptimizer
from scripts.bench.sets import Shape

# With fewer, variances shrink to subnormal numbers, with which a CPU is slow.
GRADIENTS = 3
WARM_UP = 3
# Clock cycles of a GPU, tens of milliseconds, in which the host launches a step's kernels.
AHEAD = 60_000_000


class Racer:
    """An optimizer with parameters of its own.

    Args:
        make_optimizer: makes the optimizer, given the parameters.
    """

    def __init__(
        self, shapes: Sequence[Shape], device: torch.device, make_optimizer: MakeOptimizer
    ):
        self.parameters = [Parameter(torch.zeros(shape, device=device)) for shape in shapes]
        self.optimizer = make_optimizer(self.parameters)

    def take(self, gradients: Sequence[Tensor], steps: int) -> float:
        """Seconds for a step with these gradients, the mean of `steps`."""
        self._give(gradients)
        device = gradients[0].device
        wait_for(device)
        began = time.perf_counter()
        for _ in range(steps):
            self.optimizer.step()
        wait_for(device)
        return (time.perf_counter() - began) / steps

    def take_on_gpu(self, gradients: Sequence[Tensor]) -> float:
        """Seconds that a GPU takes for a step whose kernels wait for it, as behind a backward pass.

        A queue holds about a thousand: the host still slows down a step of more kernels.
        """
        self._give(gradients)
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(AHEAD)
        began.record()
        self.optimizer.step()
        ended.record()
        torch.cuda.synchronize()
        return began.elapsed_time(ended) / 1e3

    def _give(self, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient


def race(
    racers: dict[str, Racer], gradients: Sequence[Sequence[Tensor]], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Seconds for a step of each racer in every round, each round in an order of its own."""
    times: dict[str, list[float]] = {name: [] for name in racers}
    order, generator = list(racers), random.Random(0)
    for round_number in range(-WARM_UP, rounds):
        generator.shuffle(order)
        for name in order:
            seconds = racers[name].take(gradients[round_number % len(gradients)], steps)
            if round_number >= 0:
                times[name].append(seconds)
    return times


def draw_gradients(shapes: Sequence[Shape], device: torch.device) -> list[list[Tensor]]:
    generator = torch.Generator(device).manual_seed(0)
    return [
        [1e-2 * torch.randn(shape, device=device, generator=generator) for shape in shapes]
        for _ in range(GRADIENTS)
    ]


class Spread(NamedTuple):
    """Quartiles and median."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(*quantiles(values, n=4, method="inclusive"))


def ratio(times: Sequence[float], others: Sequence[float]) -> Spread:
    """The spread of the ratios of one round each: what slows a whole round down drops out."""
    return Spread.of([a / b for a, b in zip(times, others, strict=True)])


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
