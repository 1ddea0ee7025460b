"""LaProp: normalise each gradient, then average (Ziyin, Wang and Ueda)."""

import math
from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_one_of, check_range
from optim.observation import KEPT, Observation
from optim.operands import real
from optim.rate_average import average_rate, correction

# State, where a schedule moves betas: the product of all μ so far, and of all ν.
PRODUCTS = ("mu_product", "nu_product")


class LaProp(ElementwiseOptimizer):
    r"""LaProp: "LaProp: Separating Momentum and Adaptivity in Adam", algorithms 1 to 4.

        n ← ν·n + (1 - ν)·g²
        m ← μ·m + (1 - μ)·lr·g / (√(n / (1 - ν^t)) + eps)
        θ ← θ - m / c_m

    with betas = (μ, ν), c_m = 1 - μ^t. A step is at most lr/√(1 - ν) (proposition 1). ν = 0 is
    signed descent with momentum, bias-corrected `SignSGDM`, as long as g² does not underflow.

    `amsgrad` (AmsProp, algorithm 3) divides by the maximum of n so far, not bias-corrected before
    it is taken, or, as appendix A.3 has it, of n / (1 - ν^t), so that the denominator never falls.
    `centered` (algorithm 4) divides by the standard deviation, n - n̄² in place of n with
    n̄ ← ν·n̄ + (1 - ν)·g, from step centered_after + 1 on. With both, the maximum begins with the
    first centered step. A constant gradient makes a centered step grow without bound, as the paper
    warns.

    Departures from the paper: A.3 prints a maximum over the last two steps, which keeps nothing
    from falling; all so far are meant. Weight decay with decoupled=True, the default here, is
    algorithm 2's LaPropW: θ ← θ·(1 - weight_decay) after the update, not scaled by lr, which a
    schedule moves with lr if it is told to (`scale_decay`); but nothing decays in a step with
    lr = 0, where the listing's schedule of the decay is taken to have reached 0, too. Centered,
    S = n - n̄² is kept in place of n, since the difference cancels in float32:
    S ← ν·(S + (1 - ν)·(g - n̄)²) with n̄ before its update is the same number.

    Adam's state cannot be gone on from, since its average is one of gradients not yet divided.

    A schedule that moves betas leaves what they were in the group's `initial_betas`: 1 - ν^t is
    then 1 - ν_1·ν_2·…·ν_t, the weight that the average has by then, as in the authors' code, and
    1 - μ^t likewise.

    Proposition 2 bounds Adam's step, for μ < √ν (the text prints μ > √ν beneath it), by
    lr/((1 - μ/√ν)·√(1 - ν)), as appendix A.2 derives it. The main text has left out the factor
    1/√(1 - ν), and is wrong: with μ = 0 and ν = 0.5 the bound would be lr, and a large gradient
    after tiny ones makes a step of 1.414·lr.

    State: m; n, or centered S and mean (n̄); with amsgrad n_max; with variant "authors" the number
    lr_average, e below; with moving betas mu_product and nu_product.

    Args:
        variant: "paper" is the listings to the letter: as above, but eps is inside the square root,
            √(n / (1 - ν^t) + eps); "authors", the default, which made the paper's results, as their
            code: c_m = e/lr with e ← μ·e + (1 - μ)·lr (1 where lr = 0), the same as long as lr does
            not change.
        amsgrad: True takes the maximum of n (algorithm 3), "corrected" that of n / (1 - ν^t) (A.3).
        centered: True is plain LaProp before it begins, "waits" changes neither m nor θ until then
            but for weight decay, and leaves those steps out of c_m: the options of algorithm 4.
        centered_after: steps before `centered` begins; the authors' default.
    """

    decays_after = True
    decay_without_lr = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 4e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        *,
        variant: str = "authors",
        amsgrad: bool | Literal["corrected"] = False,
        centered: bool | Literal["waits"] = False,
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
        for name, other in (("amsgrad", "corrected"), ("centered", "waits")):
            if not isinstance(group[name], bool) and group[name] != other:
                raise ValueError(
                    f"Invalid {name}: {group[name]}, must be one of False, True, {other}"
                )
        # At step 1 nothing is known yet of a variance.
        check_range("centered_after value", group["centered_after"], 1)
        if group["decoupled"]:
            check_range("weight_decay value", group["weight_decay"], 0.0, 1.0)

    def state_names(self, group: Group) -> tuple[str, ...]:
        second = ("S", "mean") if group["centered"] else ("n",)
        return ("m", *second, "n_max") if group["amsgrad"] else ("m", *second)

    def counters(self, group: Group) -> dict[str, int | float]:
        counters = super().counters(group)
        if group["variant"] == "authors":
            counters["lr_average"] = 0.0
        return counters | dict.fromkeys(PRODUCTS, 1.0) if "initial_betas" in group else counters

    def advance(self, state: State, group: Group) -> None:
        super().advance(state, group)
        (mu, nu), lr, averaged = group["betas"], float(group["lr"]), averaged_steps(group, state)
        if group["variant"] == "authors" and averaged:
            average_rate(state, mu, lr, averaged - 1)
        if "initial_betas" in group:
            # Steps made before there was a schedule were made with what it found.
            first_mu, first_nu = group["initial_betas"]
            before = state.get("nu_product", first_nu ** (state["step"] - 1))
            state["nu_product"] = before * nu
            if averaged:
                state["mu_product"] = state.get("mu_product", first_mu ** (averaged - 1)) * mu

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (mu, nu), lr = group["betas"], float(group["lr"])
        c_n = 1 - state.get("nu_product", nu ** state["step"])
        c_m = 1 - state.get("mu_product", mu ** averaged_steps(group, state))
        if group["variant"] == "authors":
            c_m = correction(state, lr)
        # What is left to correct of the denominator; eps and the rate take it over.
        left = 1.0 if group["amsgrad"] == "corrected" else c_n
        return {
            "mu": mu,
            "nu": nu,
            "one_minus_nu": 1 - nu,
            "eps": group["eps"] * math.sqrt(left),
            "eps_inside": group["eps"] * left,
            "step_size": (1 - mu) * lr * math.sqrt(left),
            "inverse_c_n": 1 / c_n,
            "inverse_c_m": 1 / c_m if c_m else 0.0,  # no step has been averaged yet
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        now = bool(group["centered"]) and state["step"] > group["centered_after"]
        return {
            "forgets": group["betas"][1] == 0,
            "centered": now,
            "waits": group["centered"] == "waits" and not now,
            "amsgrad": group["amsgrad"] if now or not group["centered"] else False,
            "variant": group["variant"],
        }

    def kept_maximum(self, p: Tensor, group: Group) -> Tensor | None:
        """Which elements of the running maximum are above the present value."""
        state = self.state.get(p, {})
        if "n_max" not in state:
            return None
        # In a centered LaProp, S stands in the place of n.
        present = real(state["S" if "S" in state else "n"])
        if group["amsgrad"] == "corrected":
            present = present.mul(self.numbers(group, state)["inverse_c_n"])
        return real(state["n_max"]) > present

    observations: ClassVar = {"optim/kept": Observation(KEPT, kept_maximum)}

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
        if hyper.waits:
            return
        if hyper.amsgrad:
            n = n_max.clamp_min_(n.mul(hyper.inverse_c_n) if hyper.amsgrad == "corrected" else n)
        if hyper.variant == "paper":
            denominator = n.add(hyper.eps_inside).sqrt_()
        else:
            denominator = n.sqrt().add_(hyper.eps)
        m.mul_(hyper.mu).addcdiv_(g, denominator, value=hyper.step_size)
        p.add_(m, alpha=-hyper.inverse_c_m)


def averaged_steps(group: Group, state: State) -> int:
    """How many gradients m is an average of."""
    waited = group["centered_after"] if group["centered"] == "waits" else 0
    return max(0, state["step"] - waited)
