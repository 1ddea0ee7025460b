"""AdamAL: Adam whose second moment never falls, by raising what goes into it."""

from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State


class AdamAL(ElementwiseOptimizer):
    r"""AdamAL, algorithm 1 of its paper.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·max(g², v)
        θ ← θ - lr·m / (√v + eps)

    No bias correction, so that the first step is lr·(1 - β1)/√(1 - β2), about 3·lr. The listing
    prints β1 in v's line; equation 18 shows that β2 is meant. The listing has no eps; the one here
    is Adam's. No code of the authors is known.

    State: m, v. Neither Adam's nor AMSGrad's can be gone on from: what goes into v depends on v.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults, **common)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "v")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        beta1, beta2 = group["betas"]
        return {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "step_size": float(group["lr"]),
        }

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        raised = g.mul(g).clamp_min_(v)
        v.mul_(hyper.beta2).add_(raised, alpha=hyper.one_minus_beta2)
        p.addcdiv_(m, v.sqrt().add_(hyper.eps), value=-hyper.step_size)
