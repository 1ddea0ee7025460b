"""What happens inside a step, for figures: its size, MAdam's β, kept maxima, underflow."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from optim.base import ElementwiseOptimizer
from optim.lp_adam import LpAdam
from optim.madam import MAdam
from optim.rows import whole

# The state that holds a running maximum: torch's AMSGrad, Padam and MAdam in torch's order,
# AmsProp, MAdam in its authors' order.
MAXIMA = ("max_exp_avg_sq", "v_max", "n_max", "d_max")


class Observer:
    """Watches every step of an optimizer, torch's own included, until it is closed.

        with Observer(optimizer) as seen:
            optimizer.step()
            print(seen.mean_abs_step)

    It hooks into `step`, so that an optimizer without one does nothing more than usual, and the
    numbers of one that is watched do not change. It keeps a copy of the parameters. What it tells
    of a DTensor's elements is a DTensor; `mean_abs_step` is over all, and every process has to
    watch for it.

    Attributes:
        beta: for MAdam and LaMAdam, parameter → β of each element in the last step. Not with a
            closure, whose gradients come too late to be seen.
        kept: for methods that divide by a running maximum, parameter → which elements of it are
            above the present value, so that the last step left them as they were: the swaps in
            figure 1 of the AdamAL paper.
        underflow: for LpAdam, parameter → which elements of its gradient are not 0 while |g|^p is
            below the smallest normal number of the state's dtype. Not with a closure.
    """

    def __init__(self, optimizer: Optimizer):
        self.beta: dict[Tensor, Tensor] = {}
        self.kept: dict[Tensor, Tensor] = {}
        self.underflow: dict[Tensor, Tensor] = {}
        self._before: list[tuple[dict[str, Any], Tensor, Tensor]] = []
        self._moved: list[Tensor] = []
        self._elements = 0
        self._hooks = [
            optimizer.register_step_pre_hook(self._look_before),
            optimizer.register_step_post_hook(self._look_after),
        ]

    @property
    def mean_abs_step(self) -> float:
        """Mean of |θ after - θ before| in the last step, over all elements that had a gradient.

        Decoupled weight decay is not counted, as in figures 3 to 5 of the MAdam paper. 0 before the
        first step, and where nothing had a gradient.
        """
        return math.fsum(total.item() for total in self._moved) / max(self._elements, 1)

    def close(self) -> None:
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @torch.no_grad()
    def _look_before(self, optimizer: Optimizer, *_: Any) -> None:
        pairs = [(group, p) for group in optimizer.param_groups for p in group["params"]]
        self._before = [(group, p, p.detach().clone()) for group, p in pairs]
        if isinstance(optimizer, MAdam):
            self.beta = {p: optimizer.next_beta(p, g) for g, p in pairs if p.grad is not None}
        if isinstance(optimizer, LpAdam):
            self.underflow = {p: underflowing(p, g) for g, p in pairs if p.grad is not None}

    @torch.no_grad()
    def _look_after(self, optimizer: Optimizer, *_: Any) -> None:
        seen = [entry for entry in self._before if entry[1].grad is not None]
        self._moved = [whole(step_of(optimizer, *entry).abs().sum()) for entry in seen]
        self._elements = sum(p.numel() for _, p, _ in seen)
        kept = {p: kept_maxima(optimizer.state[p], group) for group, p, _ in seen}
        self.kept = {p: mask for p, mask in kept.items() if mask is not None}
        self._before = []


def step_of(optimizer: Optimizer, group: dict[str, Any], after: Tensor, before: Tensor) -> Tensor:
    """What the step added to the parameter, without decoupled decay, in float64."""
    wide = torch.promote_types(before.dtype, torch.float64)
    before, after = before.to(wide), after.to(wide)
    if not (group.get("decoupled") or group.get("decoupled_weight_decay")):
        return after - before
    if not isinstance(optimizer, ElementwiseOptimizer):
        return after - before * (1 - float(group["lr"]) * group["weight_decay"])
    factor = optimizer.decay_factor(group)
    return after / factor - before if optimizer.decays_after else after - before * factor


def kept_maxima(state: dict[str, Any], group: dict[str, Any]) -> Tensor | None:
    """Which elements of the state's running maximum are above the value of the last step."""
    name = next((name for name in MAXIMA if name in state), None)
    if name is None:
        return None
    if "U" in state:
        U, S, w = (real(state[key]) for key in ("U", "S", "w"))
        V = S.addcmul(U, U)
        present = V.sqrt().add(group["eps"]) if name == "d_max" else V.mul(w)
        return real(state[name]) > present
    # In a centered LaProp, S stands in the place of n.
    current = next(state[key] for key in ("exp_avg_sq", "v", "n", "S") if key in state)
    return real(state[name]) > real(current)


def underflowing(p: Tensor, group: dict[str, Any]) -> Tensor:
    """Which elements of the gradient are not 0 while |g|^p is below the smallest normal number."""
    assert p.grad is not None
    smallest = torch.finfo(torch.promote_types(p.dtype, torch.float32)).tiny ** (1 / group["p"])
    magnitude = real(p.grad).abs()
    return (magnitude > 0) & (magnitude < smallest)


def real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
