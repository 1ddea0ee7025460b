"""What an optimizer can do, seen from some of its steps: fairseq asks it of each."""

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
    """What was seen.

    Attributes:
        flat: whether all parameters may be handed over as one long one.
        half: whether it keeps its state in float32 for parameters in half precision.
    """

    flat: bool
    half: bool


def try_out(make: Make) -> Trial:
    """Take steps with a matrix and a vector, as a network has them, and with all in one.

    Raises:
        ValueError: it cannot be made for these, or takes more than a gradient for a step.
    """
    try:
        apart, optimizer = stepped(make, [(2, 3), (4,)])
    except Exception as error:  # whatever a class says of what it cannot take
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error
    if callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None)):
        raise ValueError("it has train() and eval(), which fairseq does not call")
    return Trial(is_flat(make, apart), is_half(make))


def is_flat(make: Make, apart: Tensor) -> bool:
    try:
        together, _ = stepped(make, [(10,)])
    except Exception:
        return False
    return torch.allclose(apart, together, rtol=1e-4, atol=1e-6)


def is_half(make: Make) -> bool:
    try:
        _, optimizer = stepped(make, [(2, 3), (4,)], torch.half)
    except Exception:
        return False
    kept = [value for state in optimizer.state.values() for value in state.values()]
    moments = [v for v in kept if isinstance(v, Tensor) and v.numel() > 1 and v.is_floating_point()]
    return bool(moments) and all(v.dtype == torch.float32 for v in moments)


def stepped(
    make: Make, shapes: Sequence[Shape], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Optimizer]:
    """All parameters in a row after some steps with the same gradients, whatever their shapes."""
    sizes = list(map(math.prod, shapes))
    begin = torch.linspace(-1, 1, sum(sizes), dtype=dtype)
    pieces = zip(begin.split(sizes), shapes, strict=True)
    parameters = [Parameter(piece.reshape(shape).clone()) for piece, shape in pieces]
    optimizer = make(parameters)
    for step in range(STEPS):
        gradients = (begin + step).cos().split(sizes)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.reshape(parameter.shape).clone()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in parameters]), optimizer
