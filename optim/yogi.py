"""Yogi: Adam whose second moment moves by steps of the gradient's size (Zaheer et al. 2018)."""

import math
from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_range
from optim.operands import real


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
        real(state["v"]).fill_(group["initial"])
        return state

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), t = group["betas"], state["step"]
        correction = math.sqrt(1 - beta2**t)
        return {
            "one_minus_beta1": 1 - beta1,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"] * correction,
            "step_size": float(group["lr"]) * correction / (1 - beta1**t),
        }

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        square = g.mul(g).clamp_max_(hyper.huge)
        v.addcmul_(v.sub(square).sign_(), square, value=-hyper.one_minus_beta2)
        p.addcdiv_(m, v.sqrt().add_(hyper.eps), value=-hyper.step_size)
