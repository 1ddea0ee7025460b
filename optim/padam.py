"""Padam: between AMSGrad and SGD with momentum (Chen, Zhou, Tang, Yang, Cao and Gu)."""

import math
from typing import Any, ClassVar, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_above_zero, check_one_of
from optim.observation import kept_maximum
from optim.powers import factors, power


class Padam(ElementwiseOptimizer):
    r"""Padam: "Closing the Generalization Gap of Adaptive Gradient Methods", algorithm 1.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²
        x ← max(x, v)
        θ ← θ - s·m / (√x + eps)^(2·partial)

    with s = lr. partial = 1/2 is AMSGrad, partial → 0 SGD with momentum. The listing has no eps; it
    stands where the authors' code has it. Weight decay is L2, as in their code. Its
    default and that of lr are those of the paper's CIFAR experiments (section 5).

    State: m, v, and x, named v_max.

    Args:
        partial: how adaptive, 0 < partial <= 1/2 (the paper's p).
        variant: "paper" as above; "authors", the default, which made the paper's tables, with
            s = lr·√(1 - β2^t)/(1 - β1^t) as in their code and not in the paper: Adam's correction,
            which at partial < 1/2 corrects too much and so warms up.
    """

    observations: ClassVar = {"optim/kept": kept_maximum("v_max", "v")}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 5e-4,
        *,
        partial: float = 0.125,
        variant: str = "authors",
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"partial": partial, "variant": variant}, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_one_of("variant", group["variant"], ("paper", "authors"))
        check_above_zero("partial value", group["partial"])
        if group["partial"] > 0.5:
            raise ValueError(f"Invalid partial value: {group['partial']}")

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "v", "v_max")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), t = group["betas"], state["step"]
        warmup = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        return {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "exponent": 2 * group["partial"],
            "step_size": float(group["lr"]) * (warmup if group["variant"] == "authors" else 1.0),
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        return {"factors": factors(2 * group["partial"])}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any, v_max: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        v.mul_(hyper.beta2).addcmul_(g, g, value=hyper.one_minus_beta2)
        v_max.clamp_min_(v)
        denominator = power(v_max.sqrt().add_(hyper.eps), hyper.exponent, hyper.factors)
        p.addcdiv_(m, denominator, value=-hyper.step_size)
