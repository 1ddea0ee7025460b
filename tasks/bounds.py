"""Annotations for the arguments of a task that say which of their type's values are allowed.

    def __init__(self, *, batch_size: Count, label_smoothing: Fraction, steps: Count | None): ...

A value in a config that lies outside is refused before a run starts, in one sentence with its key:
`task.batch_size=0: must be a whole number above 0`. A bound of one's own is an `Annotated` with a
`Bound`. What depends on several arguments, the constructor refuses by a ValueError.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Bound:
    """Which values of a type are allowed, and how a sentence says it behind "must be"."""

    holds: Callable[[Any], bool]
    text: str


Count = Annotated[int, Bound(lambda value: value > 0, "a whole number above 0")]
CountOrZero = Annotated[int, Bound(lambda value: value >= 0, "a whole number, 0 or above")]
Positive = Annotated[float, Bound(lambda value: 0 < value < math.inf, "a number above 0")]
PositiveOrZero = Annotated[
    float, Bound(lambda value: 0 <= value < math.inf, "a number, 0 or above")
]
Fraction = Annotated[float, Bound(lambda value: 0 <= value <= 1, "a number from 0 to 1")]
Share = Annotated[float, Bound(lambda value: 0 < value < 1, "a number between 0 and 1")]
Box = Annotated[
    Sequence[float],
    Bound(
        lambda ends: len(ends) == 2 and -math.inf < ends[0] < ends[1] < math.inf,
        "two numbers, the lower one first",
    ),
]
Numbers = Annotated[
    Sequence[float],
    Bound(lambda values: len(values) > 0 and all(map(math.isfinite, values)), "a list of numbers"),
]
