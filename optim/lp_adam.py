"""Adam and AdaGrad with an L^p norm in place of the (root mean) square (Daley and Amato)."""

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_above_zero, check_one_of
from optim.observation import Observation
from optim.operands import real, wide
from optim.powers import cubic, factors, halleys, power, root_of_sum


class LpAdam(ElementwiseOptimizer):
    r"""L^p Adam: "Investigating Alternatives to the Root Mean Square", algorithm 1, equation 4.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·|g|^p
        θ ← θ - lr · (m / (1 - β1^t)) / ((v / (1 - β2^t))^(1/p) + eps)

    p = 2 is torch.optim.Adam, p = ∞ is AdaMax: take torch.optim.Adamax for it. Algorithm 1 prints a
    square root for every p; equation 4 and the text mean the p-th root, which is computed here. No
    code of the authors is known.

    In float32 |g|^p leaves the range of numbers long before g does: with p = 6 and gradients of
    1e-5 displacements are wrong by a tenth, with a smaller eps by far more (study
    lp_adam/underflow). So `form="root"` keeps s = v^(1/p) and computes, with a and b the larger and
    the smaller of β2^(1/p)·s and (1 - β2)^(1/p)·|g|, the same

        s ← a · (1 + (b/a)^p)^(1/p)

    to rounding at every scale. `form="power"` computes as printed, underflow and all. With p = 2
    both are Adam's own form.

    State: m, and s (root form) or v (power form, and p = 2). With eps = 0, an element that never
    had a gradient becomes NaN, as in Adam.

    Args:
        p: the norm, above 0. The paper recommends lr = 10^-(1.5 + 3/p). Below about 0.1 float32
            cannot hold (1 - β2)^(1/p), and elements become NaN.
        form: "root" or "power".

    Raises:
        ValueError: also where β1 < β2^(1/p) does not hold (footnote 3: steps would be unbounded).
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        p: float = 2.0,
        form: str = "root",
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"p": p, "form": form}, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_above_zero("p value", group["p"])
        check_one_of("form", group["form"], ("root", "power"))
        (beta1, beta2), p = group["betas"], group["p"]
        if not beta1 < beta2 ** (1 / p):
            raise ValueError(f"Invalid betas: {group['betas']}, beta1 < beta2**(1/p) must hold")

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "s") if group["form"] == "root" and group["p"] != 2 else ("m", "v")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), p, t = group["betas"], group["p"], state["step"]
        correction = (1 - beta2**t) ** (1 / p)
        return {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "s_factor": beta2 ** (1 / p),
            "g_factor": (1 - beta2) ** (1 / p),
            "p": p,
            "root": 1 / p,
            "eps": group["eps"] * correction,
            "step_size": float(group["lr"]) * correction / (1 - beta1**t),
            **cubic(p),
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        return {"form": "square" if group["p"] == 2 else group["form"], **powers(group["p"])}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any = None, s: Any = None) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        if hyper.form == "square":
            v.mul_(hyper.beta2).addcmul_(g, g, value=hyper.one_minus_beta2)
            denominator = v.sqrt().add_(hyper.eps)
        elif hyper.form == "power":
            v.mul_(hyper.beta2).add_(g.abs().pow_(hyper.p), alpha=hyper.one_minus_beta2)
            denominator = v.pow(hyper.root).add_(hyper.eps)
        else:
            add_to_norm(hyper, s, g)
            denominator = s.add(hyper.eps)
        p.addcdiv_(m, denominator, value=-hyper.step_size)

    def underflows(self, p: Tensor, group: Group) -> Tensor:
        """Which elements of the gradient are not 0, but so small that |g|^p loses its precision.

        It is below the smallest normal number of the state's dtype then.
        """
        assert p.grad is not None
        smallest = torch.finfo(wide(p.dtype)).tiny ** (1 / group["p"])
        magnitude = real(p.grad).abs()
        return (magnitude > 0) & (magnitude < smallest)

    observations: ClassVar = {
        "optim/underflow": Observation(
            "share of |g|^p that underflows", underflows, better="min", before=True
        )
    }


class LpAdaGrad(ElementwiseOptimizer):
    r"""L^p AdaGrad, which figure 1 of the same paper draws beside L^p Adam.

        v ← v + |g|^p
        θ ← θ - lr · g / (v^(1/p) + eps)

    p = 2 is torch.optim.Adagrad. The paper gives no listing; this is equation 4 with AdaGrad's sum
    in place of Adam's averages (section 2). s = v^(1/p) is kept in place of v, as in LpAdam's root
    form, of which this is the case β1 = 0 with both weights 1.

    State: s.

    Args:
        p: the norm, above 0.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        p: float = 2.0,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "eps": eps, "weight_decay": weight_decay, "p": p}
        super().__init__(params, defaults, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_above_zero("p value", group["p"])

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("s",)

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        p = group["p"]
        return {
            "s_factor": 1.0,
            "g_factor": 1.0,
            "p": p,
            "root": 1 / p,
            "eps": group["eps"],
            "step_size": float(group["lr"]),
            **cubic(p),
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        return powers(group["p"])

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, s: Any) -> None:
        add_to_norm(hyper, s, g)
        p.addcdiv_(g, s.add(hyper.eps), value=-hyper.step_size)


def powers(p: float) -> dict[str, Any]:
    return {"p_factors": factors(p), "root_factors": factors(1 / p), "halleys": halleys(p)}


def add_to_norm(hyper: Any, s: Any, g: Any) -> None:
    """Replace s by ((s_factor·s)^p + (g_factor·|g|)^p)^(1/p), in range wherever s and g are."""
    magnitude = g.abs().mul_(hyper.g_factor)
    s.mul_(hyper.s_factor)
    ratio = magnitude.minimum(s)
    s.clamp_min_(magnitude)
    # Above 0, so that the ratio is 0 where both are 0.
    ratio = power(ratio.div_(s.clamp_min(hyper.tiny)), hyper.p, hyper.p_factors)
    s.mul_(root_of_sum(ratio, hyper))
