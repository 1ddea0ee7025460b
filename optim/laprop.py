"""LaProp: normalise each gradient, then average (Ziyin, Wang and Ueda)."""

import math
from typing import Any, ClassVar, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_flag, check_one_of, check_range
from optim.observation import kept_maximum


class LaProp(ElementwiseOptimizer):
    r"""LaProp: "LaProp: Separating Momentum and Adaptivity in Adam", algorithms 1 to 4.

        n ← ν·n + (1 - ν)·g²
        m ← μ·m + (1 - μ)·lr·g / (√(n / (1 - ν^t)) + eps)
        θ ← θ - m / c_m

    with betas = (μ, ν), c_m = 1 - μ^t. A step is at most lr/√(1 - ν) (proposition 1). ν = 0 is
    signed descent with momentum, bias-corrected `SignSGDM`, as long as g² does not underflow.

    `amsgrad=True` (AmsProp, algorithm 3) divides by the maximum of n so far, not bias-corrected
    before it is taken. `centered=True` (algorithm 4) divides by the standard deviation, n - n̄² in
    place of n with n̄ ← ν·n̄ + (1 - ν)·g, from step centered_after + 1 on; before, it is plain. With
    both, the maximum begins with the first centered step. A constant gradient makes a centered
    step grow without bound, as the paper warns.

    Departures from the paper: eps stands outside the square root, as in the authors' code (the
    listings have it inside). Weight decay with decoupled=True, the default here, is algorithm 2's
    LaPropW: θ ← θ·(1 - weight_decay) after the update, not scaled by lr; but nothing decays in a
    step with lr = 0, where the listing's schedule of the decay is taken to have reached 0, too.
    Centered, S = n - n̄² is kept in place of n, since the difference cancels in float32:
    S ← ν·(S + (1 - ν)·(g - n̄)²) with n̄ before its update is the same number.

    Adam's state cannot be gone on from, since its average is one of gradients not yet divided.

    State: m; n, or centered S and mean (n̄); with amsgrad n_max; with variant "authors" the number
    lr_average, e below.

    Args:
        variant: "paper" as above; "authors", the default, which made the paper's results, as their
            code: c_m = e/lr with e ← μ·e + (1 - μ)·lr (1 where lr = 0), the same as long as lr does
            not change.
        centered_after: steps before `centered` begins; the authors' default.
    """

    decays_after = True
    # In a centered LaProp, S stands in the place of n.
    observations: ClassVar = {"optim/kept": kept_maximum("n_max", "n", "S")}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 4e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        *,
        variant: str = "authors",
        amsgrad: bool = False,
        centered: bool = False,
        centered_after: int = 10,
        **common: Unpack[Common],
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "variant": variant,
            "amsgrad": amsgrad,
            "centered": centered,
            "centered_after": centered_after,
        }
        common.setdefault("decoupled", True)
        super().__init__(params, defaults, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_one_of("variant", group["variant"], ("paper", "authors"))
        for name in ("amsgrad", "centered"):
            check_flag(name, group[name])
        # At step 1 nothing is known yet of a variance.
        check_range("centered_after value", group["centered_after"], 1)
        if group["decoupled"]:
            check_range("weight_decay value", group["weight_decay"], 0.0, 1.0)

    def state_names(self, group: Group) -> tuple[str, ...]:
        second = ("S", "mean") if group["centered"] else ("n",)
        return ("m", *second, "n_max") if group["amsgrad"] else ("m", *second)

    def counters(self, group: Group) -> dict[str, int | float]:
        counters = super().counters(group)
        return counters | {"lr_average": 0.0} if group["variant"] == "authors" else counters

    def advance(self, state: State, group: Group) -> None:
        super().advance(state, group)
        if group["variant"] == "authors":
            mu, lr = group["betas"][0], float(group["lr"])
            # Where the group had the other variant so far, as if this had been its lr.
            before = state.get("lr_average", (1 - mu ** (state["step"] - 1)) * lr)
            state["lr_average"] = mu * before + (1 - mu) * lr

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (mu, nu), lr, t = group["betas"], float(group["lr"]), state["step"]
        c_m = 1 - mu**t
        if group["variant"] == "authors":
            c_m = state["lr_average"] / lr if lr else 1.0
        correction = math.sqrt(1 - nu**t)
        return {
            "mu": mu,
            "nu": nu,
            "one_minus_nu": 1 - nu,
            "eps": group["eps"] * correction,
            "step_size": (1 - mu) * lr * correction,
            "inverse_c_m": 1 / c_m,
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        now = group["centered"] and state["step"] > group["centered_after"]
        return {
            "forgets": group["betas"][1] == 0,
            "centered": now,
            "amsgrad": group["amsgrad"] and (now or not group["centered"]),
        }

    @staticmethod
    def update(
        hyper: Any,
        p: Any,
        g: Any,
        m: Any,
        n: Any = None,
        S: Any = None,
        mean: Any = None,
        n_max: Any = None,
    ) -> None:
        if S is None:
            if hyper.forgets:
                n.zero_()  # 0·n would be no number where g² was too large for one
            n.mul_(hyper.nu).addcmul_(g, g, value=hyper.one_minus_nu)
        else:
            deviation = g.sub(mean)
            S.addcmul_(deviation, deviation, value=hyper.one_minus_nu).mul_(hyper.nu)
            mean.lerp_(g, hyper.one_minus_nu)
            n = S if hyper.centered else S.addcmul(mean, mean)
        if hyper.amsgrad:
            n = n_max.clamp_min_(n)
        m.mul_(hyper.mu).addcdiv_(g, n.sqrt().add_(hyper.eps), value=hyper.step_size)
        p.add_(m, alpha=-hyper.inverse_c_m)
