"""The losses of a run's last steps."""

import math

import torch
from torch import Tensor

from engine import parallel


class Losses:
    """The losses of the steps since the last evaluation, on the device until somebody asks."""

    def __init__(self, values: list[float] | None = None):
        self._values = values or []
        self._waiting: list[Tensor] = []
        self._recent: list[float] = []

    def add(self, loss: Tensor) -> None:
        self._waiting.append(loss)

    def values(self) -> list[float]:
        if self._waiting:
            self._recent = parallel.mean(torch.stack(self._waiting)).tolist()
            self._values += self._recent
            self._waiting = []
        return self._values

    def any_not_finite(self) -> bool:
        return not math.isfinite(sum(self.values()))

    def first_not_finite(self) -> int:
        """The index of the first loss that is not finite."""
        return next(i for i, loss in enumerate(self.values()) if not math.isfinite(loss))

    def mean(self) -> float:
        return math.fsum(self.values()) / len(self._values)

    def recent(self) -> float:
        """The mean of those that were read from the device last."""
        self.values()
        return math.fsum(self._recent) / len(self._recent) if self._recent else math.nan

    def clear(self) -> None:
        self._values = []
