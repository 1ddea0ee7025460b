"""Signed gradient descent with momentum, as the LaProp paper has it and as signSGD's."""

from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_range


class SignSGDM(ElementwiseOptimizer):
    r"""SSG and SSG-M: section 3.2 of "LaProp: Separating Momentum and Adaptivity in Adam".

        θ_{t+1} = θ_t - (1 - μ)·lr·sgn(g) + μ·(θ_t - θ_{t-1})

    kept as m ← μ·m + (1 - μ)·lr·sgn(g), θ ← θ - m, so that weight decay is no part of the momentum.
    It is `LaProp` with ν = 0 without bias correction. Bernstein et al. 2018 take the sign of the
    averaged gradient instead: `Signum`. momentum = 0 is SSG. sgn is torch.sign: a NaN counts as 0.

    State: m, the last step.

    Args:
        momentum: μ, in [0, 1).
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 4e-4,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_range("momentum value", group["momentum"], 0.0, 1.0)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m",)

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        mu = group["momentum"]
        return {"mu": mu, "step_size": (1 - mu) * float(group["lr"])}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any) -> None:
        m.mul_(hyper.mu).add_(g.sign(), alpha=hyper.step_size)
        p.sub_(m)


class Signum(SignSGDM):
    r"""Signum of Bernstein et al. 2018, "signSGD", the other SSG-M of LaProp's footnote 1.

        m ← μ·m + (1 - μ)·g
        θ ← θ - lr·sgn(m)

    Every step is lr, where one of `SignSGDM` is shorter after a change of sign. The sign needs no
    bias correction. An element whose gradient was NaN stands still from then on.

    State: m, the average of the gradients.

    Args:
        momentum: μ, in [0, 1).
    """

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        return {"one_minus_mu": 1 - group["momentum"], "lr": float(group["lr"])}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any) -> None:
        m.lerp_(g, hyper.one_minus_mu)
        p.add_(m.sign(), alpha=-hyper.lr)
