"""The bias of an average into which the learning rate goes with the gradients, and rates move.

With m ← μ·m + (1 - μ)·lr·g/…, the same average of the rates is e ← μ·e + (1 - μ)·lr, and the
authors' code of LaProp and of LaMAdam takes m·lr/e for a step. As long as lr stays what it was,
e/lr is 1 - μ^t.
"""

from optim.base import State


def average_rate(state: State, momentum: float, lr: float, averaged: int) -> None:
    """Move e, the state's `lr_average`, on by this step's rate.

    Where there is none, since the group had another variant so far, the `averaged` steps before
    count as if this had been their rate.
    """
    before = state.get("lr_average", (1 - momentum**averaged) * lr)
    state["lr_average"] = momentum * before + (1 - momentum) * lr


def correction(state: State, lr: float) -> float:
    """e/lr, by which m is divided; 1 where lr = 0."""
    return state["lr_average"] / lr if lr else 1.0
