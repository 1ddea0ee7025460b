"""What an optimizer tells of its steps: declared on its class, looked at by `optim.Observer`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from optim.operands import real
from optim.state import Group

KEPT = "share of kept maxima"


@dataclass(frozen=True)
class Observation:
    """A number for each element of a parameter, or for each of a sample of them.

    Any optimizer's class may declare some, by the names that its metrics have in a record:

        class Mine(torch.optim.Optimizer):
            observations = {"optim/trust": Observation("mean trust ratio", trust_ratio)}

    Attributes:
        label: what stands on an axis.
        of: (optimizer, parameter, its group) → the numbers, or None where there are none.
        better: which direction is an improvement, or None where neither is.
        log: whether its axis is logarithmic.
        before: taken before a step, of the parameter and its gradient as the step finds them, and
            not after it. Not with a closure, whose gradients come too late.
        each: counted over all steps so far, so that there is something to tell of parameters that
            had no gradient in the last one, too; each number is recorded, and not just their mean.
        quantile: from 0 to 1: this quantile of all numbers is recorded, and not their mean. A
            tensor of any shape may stand for a parameter's, such as a sample.
    """

    label: str
    of: Callable[[Any, Tensor, Group], Tensor | None]
    better: Literal["min", "max"] | None = None
    log: bool = False
    before: bool = False
    each: bool = False
    quantile: float | None = None


def kept_maximum(maximum: str, *present: str) -> Observation:
    """Of a method that divides by a running maximum: which elements kept an older one in a step.

    They are the swaps in figure 1 of the AdamAL paper.

    Args:
        maximum: the state that holds it, where the method has it.
        present: the state that it is the maximum of: the first of these that there is.
    """

    def of(optimizer: Any, p: Tensor, group: Group) -> Tensor | None:
        state = optimizer.state.get(p, {})
        if maximum not in state:
            return None
        current = next(state[name] for name in present if name in state)
        return real(state[maximum]) > real(current)

    return Observation(KEPT, of)


# What those tell that declare nothing, as torch's own.
OF_TORCH = {"optim/kept": kept_maximum("max_exp_avg_sq", "exp_avg_sq")}


def observations_of(optimizer: Any) -> Mapping[str, Observation]:
    """What an optimizer, or its class, declares; torch's own cannot."""
    return getattr(optimizer, "observations", OF_TORCH)
