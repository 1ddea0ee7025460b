"""What a hyperparameter may be; errors are worded as torch's."""

import math
from numbers import Real
from typing import Any

from torch import Tensor


def check_range(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless value is a number, and low <= value < high."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"Invalid {name}: a Tensor must have 1 element")
    if not (is_real(value) or isinstance(value, Tensor)) or not low <= value < high:
        raise ValueError(f"Invalid {name}: {value}")


def is_real(value: Any) -> bool:
    return isinstance(value, Real)


def check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"Invalid {name}: {value}, must be True or False")


def is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def check_betas(betas: Any) -> None:
    if not is_pair(betas):
        raise ValueError(f"Invalid betas: {betas}, must be two numbers")
    for index, beta in enumerate(betas):
        check_range(f"beta parameter at index {index}", beta, 0.0, 1.0)


def check_one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"Invalid {name}: {value}, must be one of {', '.join(allowed)}")


def check_above_zero(name: str, value: Any) -> None:
    if not is_real(value) or not 0.0 < value < math.inf:
        raise ValueError(f"Invalid {name}: {value}")
