"""What is measured while a run trains: its losses and its times."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor

from engine import parallel


class Losses:
    """The losses of the steps since the last evaluation, left on the device until they are read."""

    def __init__(self, values: list[float] | None = None):
        self._values = values or []
        self._unread: list[Tensor] = []
        self._recent: list[float] = []

    def add(self, loss: Tensor) -> None:
        self._unread.append(loss)

    def values(self) -> list[float]:
        """All of them; reading them waits until the device has finished their steps."""
        if self._unread:
            self._recent = parallel.all_reduce_mean(torch.stack(self._unread)).tolist()
            self._values += self._recent
            self._unread = []
        return self._values

    def any_not_finite(self) -> bool:
        return not math.isfinite(sum(self.values()))

    def first_not_finite(self) -> int:
        """The index of the first loss that is not finite."""
        return next(i for i, loss in enumerate(self.values()) if not math.isfinite(loss))

    def kept(self, step: int, every: int) -> tuple[int, list[float]]:
        """Every so many-th step's, up to the first that is not finite.

        Args:
            step: of the last one.
            every: a whole number above 0.

        Returns:
            The step up to which they are, and the losses of those steps that `every` divides.
        """
        values, first = self.values(), step - len(self.values()) + 1
        if self.any_not_finite():
            values = values[: self.first_not_finite() + 1]
        return first + len(values) - 1, values[-first % every :: every]

    def mean(self) -> float:
        return math.fsum(self.values()) / len(self._values)

    def recent(self) -> float:
        """The mean of those that were last read from the device."""
        self.values()
        return math.fsum(self._recent) / len(self._recent) if self._recent else math.nan

    def clear(self) -> None:
        self._values = []


class Clock:
    """The time that a run takes, and how much of it its steps take.

    Steps are timed in intervals from one evaluation to the next. It stands until `start`.
    """

    def __init__(self) -> None:
        self._earlier_seconds = 0.0  # in earlier sessions
        self._session_began = time.monotonic()
        self._step_seconds: list[float] = []
        self._train_seconds = 0.0  # before the clock went on
        self._went_on: float | None = None

    def elapsed(self) -> float:
        """Seconds spent on this run so far, in all sessions."""
        return self._earlier_seconds + time.monotonic() - self._session_began

    def train_seconds(self) -> float:
        """Seconds that the steps so far took, in all sessions."""
        running = 0.0 if self._went_on is None else time.monotonic() - self._went_on
        return self._train_seconds + running

    def step_seconds(self) -> float | None:
        """Of one step without evaluation: the median over intervals, as the first loads data."""
        return median(self._step_seconds) if self._step_seconds else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block as the steps'."""
        self._train_seconds, self._went_on = self.train_seconds(), None
        try:
            yield
        finally:
            self._went_on = time.monotonic()

    def start(self, step: int) -> None:
        """Count time from now on, in a new interval."""
        self._went_on = time.monotonic()
        self.start_interval(step)

    def start_interval(self, step: int) -> None:
        self._interval_began, self._interval_step = self.train_seconds(), step

    def end_interval(self, step: int) -> None:
        """Note the mean time of the steps since the interval began."""
        seconds = self.train_seconds() - self._interval_began
        self._step_seconds.append(seconds / (step - self._interval_step))

    def state_dict(self) -> dict[str, Any]:
        return {
            "wall_seconds": self.elapsed(),
            "train_seconds": self.train_seconds(),
            "step_seconds": self._step_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._earlier_seconds, self._step_seconds = state["wall_seconds"], state["step_seconds"]
        self._train_seconds = state["train_seconds"]
