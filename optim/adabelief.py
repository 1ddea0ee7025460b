"""AdaBelief: the step by how far a gradient is from what was expected (Zhuang et al. 2020)."""

import math
from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State


class AdaBelief(ElementwiseOptimizer):
    r"""AdaBelief, algorithm 2 of "AdaBelief Optimizer: Adapting Stepsizes by the Belief".

        m ← β1·m + (1 - β1)·g
        s ← β2·s + (1 - β2)·(g - m)² + eps
        θ ← θ - lr · (m / (1 - β1^t)) / (√(s / (1 - β2^t)) + eps)

    eps stands in both places, and in s it adds up, as published. The authors' code is the same;
    its rectified form (as RAdam) is not offered.

    State: m, s.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults, **common)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "s")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), t = group["betas"], state["step"]
        correction = math.sqrt(1 - beta2**t)
        return {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "corrected_eps": group["eps"] * correction,
            "step_size": float(group["lr"]) * correction / (1 - beta1**t),
        }

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, s: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        deviation = g.sub(m)
        s.mul_(hyper.beta2).addcmul_(deviation, deviation, value=hyper.one_minus_beta2).add_(
            hyper.eps
        )
        p.addcdiv_(m, s.sqrt().add_(hyper.corrected_eps), value=-hyper.step_size)
