"""What an optimizer can do, found out by some steps; fairseq asks it of each optimizer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

Make = Callable[[list[Parameter]], Optimizer]
Shape = tuple[int, ...]

STEPS = 3


@dataclass(frozen=True)
class Trial:
    """What an optimizer can do.

    Attributes:
        flat: whether all parameters may be handed over as one vector.
        half: whether it keeps its state in float32 for parameters in half precision.
    """

    flat: bool
    half: bool


def try_out(make: Make) -> Trial:
    """Take steps with a matrix and a vector, as a network has them, and with both in one vector.

    Raises:
        ValueError: it cannot be made for these, or needs more than gradients to take a step.
    """
    try:
        separate, optimizer = take_steps(make, [(2, 3), (4,)])
    except Exception as error:  # whatever a class raises
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error
    if callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None)):
        raise ValueError("it has train() and eval(), which fairseq does not call")
    return Trial(is_flat(make, separate), is_half(make))


def is_flat(make: Make, separate: Tensor) -> bool:
    try:
        joined, _ = take_steps(make, [(10,)])
    except Exception:
        return False
    return torch.allclose(separate, joined, rtol=1e-4, atol=1e-6)


def is_half(make: Make) -> bool:
    try:
        _, optimizer = take_steps(make, [(2, 3), (4,)], torch.half)
    except Exception:
        return False
    state_values = [value for state in optimizer.state.values() for value in state.values()]
    state_tensors = [
        value
        for value in state_values
        if isinstance(value, Tensor) and value.numel() > 1 and value.is_floating_point()
    ]
    return bool(state_tensors) and all(value.dtype == torch.float32 for value in state_tensors)


def take_steps(
    make: Make, shapes: Sequence[Shape], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Optimizer]:
    """All parameters as one vector after some steps; the shapes do not change the gradients."""
    numels = list(map(math.prod, shapes))
    start = torch.linspace(-1, 1, sum(numels), dtype=dtype)
    shaped = zip(start.split(numels), shapes, strict=True)
    parameters = [Parameter(values.reshape(shape).clone()) for values, shape in shaped]
    optimizer = make(parameters)
    for step in range(STEPS):
        gradients = (start + step).cos().split(numels)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.reshape(parameter.shape).clone()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in parameters]), optimizer
