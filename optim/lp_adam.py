"""Adam with an L^p norm in place of the root mean square (Daley and Amato)."""

from typing import Any

from torch import Tensor

from optim.base import (
    ElementwiseOptimizer,
    Group,
    State,
    check_above_zero,
    check_betas,
    check_one_of,
)
from optim.powers import raise_, way


class LpAdam(ElementwiseOptimizer):
    r"""L^p Adam: "Investigating Alternatives to the Root Mean Square", algorithm 1, equation 4.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·|g|^p
        θ ← θ - lr · (m / (1 - β1^t)) / ((v / (1 - β2^t))^(1/p) + eps)

    p = 2 is torch.optim.Adam, p = ∞ is AdaMax: take torch.optim.Adamax for it. Algorithm 1 prints a
    square root for every p; equation 4 and the text mean the p-th root, which is computed here. No
    code of the authors is known.

    In float32 |g|^p leaves the range of numbers long before g does: with p = 6 at gradients of 1e-4
    the steps are wrong by 40% already. So `form="root"` keeps s = v^(1/p) and computes, with
    M = max(s, |g|), the same

        s ← M · (β2·(s/M)^p + (1 - β2)·(|g|/M)^p)^(1/p)

    to rounding at every scale. `form="power"` computes as printed, underflow and all. With p = 2
    both are Adam's own form.

    State: m, and s (root form) or v (power form, and p = 2). With eps = 0, an element that never
    had a gradient becomes NaN, as in Adam.

    Args:
        p: the norm, above 0. The paper recommends lr = 10^-(1.5 + 3/p).
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
        decoupled: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        compile: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "p": p,
            "form": form,
            "decoupled": decoupled,
            "maximize": maximize,
            "foreach": foreach,
            "compile": compile,
        }
        super().__init__(params, defaults)

    def check(self, group: Group) -> None:
        super().check(group)
        check_betas(group["betas"])
        check_above_zero("p value", group["p"])
        check_one_of("form", group["form"], ("root", "power"))
        (beta1, beta2), p = group["betas"], group["p"]
        if not beta1 < beta2 ** (1 / p):
            raise ValueError(f"Invalid betas: {group['betas']}, beta1 < beta2**(1/p) must hold")

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "s") if group["form"] == "root" and group["p"] != 2 else ("m", "v")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), p, t = group["betas"], group["p"], state["step"]
        return {
            "new1": 1 - beta1,
            "beta2": beta2,
            "new2": 1 - beta2,
            "eps": group["eps"],
            "p": p,
            "root": 1 / p,
            "correct": (1 - beta2**t) ** (-1 / p),
            "size": float(group["lr"]) / (1 - beta1**t),
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        p = group["p"]
        form = "square" if p == 2 else group["form"]
        return {"form": form, "to_p": way(p), "to_root": way(1 / p)}

    @staticmethod
    def update(h: Any, p: Any, g: Any, m: Any, v: Any = None, s: Any = None) -> None:
        m.lerp_(g, h.new1)
        if h.form == "square":
            v.mul_(h.beta2).addcmul_(g, g, value=h.new2)
            denominator = v.sqrt().mul_(h.correct).add_(h.eps)
        elif h.form == "power":
            v.mul_(h.beta2).add_(g.abs().pow_(h.p), alpha=h.new2)
            denominator = v.pow(h.root).mul_(h.correct).add_(h.eps)
        else:
            size = g.abs()
            # Above 0, so that 0/M is 0 where both are 0. The formula holds for every M > 0.
            largest = size.maximum(s).clamp_min_(h.tiny)
            raise_(s.div_(largest), h.p, h.to_p).mul_(h.beta2)
            s.add_(raise_(size.div_(largest), h.p, h.to_p), alpha=h.new2)
            raise_(s, h.root, h.to_root).mul_(largest)
            denominator = s.mul(h.correct).add_(h.eps)
        p.addcdiv_(m, denominator, value=-h.size)
