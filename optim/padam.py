"""Padam: between AMSGrad and SGD with momentum (Chen, Zhou, Tang, Yang, Cao and Gu)."""

import math
import warnings
from typing import Any, ClassVar, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_above_zero, check_one_of
from optim.observation import Observation, kept_maximum
from optim.operands import real, whole
from optim.powers import factors, power

# Of how many elements the effective rate of one is looked at: a prime, so that the sample of a
# matrix is not of a few of its columns.
SAMPLED = 61


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

    Warns:
        UserWarning: β1 < β2^(2·partial) does not hold, the condition of theorem 4.3. `LpAdam`
            refuses its own; here steps stay within lr·G^(1 - 2·partial)/(1 - β2)^partial for
            gradients up to G all the same, since x never falls, and it is the proof that fails.
    """

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
        beta1, beta2 = group["betas"]
        if beta1 >= beta2 ** (2 * group["partial"]):
            warnings.warn(
                f"betas: {group['betas']} with partial={group['partial']}: beta1 < "
                "beta2**(2*partial) does not hold, and Padam's convergence is proved with it",
                stacklevel=2,
            )

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

    def effective_rates(self, p: Tensor, group: Group) -> Tensor | None:
        """What multiplies m in a step, s/(√x + eps)^(2·partial): the paper's α/v̂^p (section 3).

        Of every 61st element of a parameter, since quantiles need no more, and without elements
        that never had a gradient, which have no rate.
        """
        state = self.state.get(p, {})
        if "v_max" not in state:
            return None
        v_max = real(whole(state["v_max"])).reshape(-1)[::SAMPLED]
        root = v_max[v_max > 0].sqrt() + group["eps"]
        step_size = self.numbers(group, state)["step_size"]
        return step_size / root ** (2 * group["partial"]) if len(root) else None

    observations: ClassVar = {
        "optim/kept": kept_maximum("v_max", "v"),
        "optim/rate_low": Observation(
            "effective rate, 1% quantile", effective_rates, log=True, quantile=0.01
        ),
        "optim/rate_median": Observation(
            "effective rate, median", effective_rates, log=True, quantile=0.5
        ),
        "optim/rate_high": Observation(
            "effective rate, 99% quantile", effective_rates, log=True, quantile=0.99
        ),
    }
