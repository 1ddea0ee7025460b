"""Schedulers of torch's kind that move betas beside the learning rate.

What a group's betas were is kept in its `initial_betas`, as torch keeps `initial_lr`.
"""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from optim.checks import is_pair, is_real


class MovingBetas(LambdaLR):
    """Multiplies lr by `factor(done)`, and sets betas to what a subclass says.

    Raises:
        ValueError: a group has no betas, or others than two numbers.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]):
        for group in optimizer.param_groups:
            betas: Any = group.get("betas")
            if not is_pair(betas) or not all(map(is_real, betas)):
                raise ValueError(
                    f"{type(optimizer).__name__} has no two betas, which this schedule moves."
                )
            group.setdefault("initial_betas", tuple(betas))
        super().__init__(optimizer, factor)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            group["betas"] = self.moved(*group["initial_betas"])

    def moved(self, mu: float, nu: float) -> tuple[float, float]:
        """Betas after `last_epoch` updates, of a group that began with these."""
        raise NotImplementedError


class DecayingMomentum(MovingBetas):
    """lr / √k and μ·ζ^(k - 1) for update number k."""

    def __init__(self, optimizer: Optimizer, zeta: float):
        self.zeta = zeta
        super().__init__(optimizer, lambda done: 1 / math.sqrt(done + 1))

    def moved(self, mu: float, nu: float) -> tuple[float, float]:
        return mu * self.zeta**self.last_epoch, nu


class SwitchedNu(MovingBetas):
    """ν is `first` for `switch` updates."""

    def __init__(self, optimizer: Optimizer, first: float, switch: int):
        self.first, self.switch = first, switch
        super().__init__(optimizer, lambda done: 1.0)

    def moved(self, mu: float, nu: float) -> tuple[float, float]:
        return mu, self.first if self.last_epoch < self.switch else nu
