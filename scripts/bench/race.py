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
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        device = gradients[0].device
        wait_for(device)
        began = time.perf_counter()
        for _ in range(steps):
            self.optimizer.step()
        wait_for(device)
        return (time.perf_counter() - began) / steps


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
