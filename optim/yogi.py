"""Yogi: Adam whose second moment moves by steps of the gradient's size (Zaheer et al. 2018)."""

import math
from typing import Any, Unpack

import torch
from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_range


class Yogi(ElementwiseOptimizer):
    r"""Yogi, algorithm 2 of "Adaptive Methods for Nonconvex Optimization".

        m ← β1·m + (1 - β1)·g
        v ← v - (1 - β2)·sign(v - g²)·g²,  v₀ = initial
        θ ← θ - lr · (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + eps)

    The listing has no bias correction and leaves v₀ open; the correction and v₀ = 1e-6 are those of
    the implementations in common use.

    State: m, v.

    Args:
        initial: v₀.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        initial: float = 1e-6,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"initial": initial}, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_range("initial value", group["initial"], 0.0)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "v")

    def new_state(self, p: Tensor, group: Group) -> State:
        state = super().new_state(p, group)
        v = torch.view_as_real(state["v"]) if p.is_complex() else state["v"]
        v.fill_(group["initial"])
        return state

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), t = group["betas"], state["step"]
        root = math.sqrt(1 - beta2**t)
        return {
            "new1": 1 - beta1,
            "new2": 1 - beta2,
            "eps": group["eps"] * root,
            "size": float(group["lr"]) * root / (1 - beta1**t),
        }

    @staticmethod
    def update(h: Any, p: Any, g: Any, m: Any, v: Any) -> None:
        m.lerp_(g, h.new1)
        square = g.mul(g).clamp_max_(h.huge)
        v.addcmul_(v.sub(square).sign_(), square, value=-h.new2)
        p.addcdiv_(m, v.sqrt().add_(h.eps), value=-h.size)
