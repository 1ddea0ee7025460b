"""MAdam and LaMAdam: a second moment that remembers by the largest variance (Zhu et al.)."""

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_one_of, check_range, is_pair, is_real
from optim.executors import hyper_of, prepared
from optim.observation import KEPT, Observation
from optim.operands import gradient_of, real
from optim.rate_average import average_rate, correction

Betas = tuple[float, tuple[float, float]]


class MAdam(ElementwiseOptimizer):
    r"""MAdam: "Adaptive Learning Rates with Maximum Variation Averaging".

    Algorithm 1 with equation 8. With U and V the averages of g and of g², w their weight:

        d = (g - U)²,  s = V - U²
        β = clip((d + s) / (w·(d - s) + d + s + 1e-16), β_lo, β_hi),  at t = 1: beta_init
        u ← β·u + (1 - β)·g,  v ← β·v + (1 - β)·g²,  w ← β·w + (1 - β),  U = u/w,  V = v/w
        m ← α·m + (1 - α)·g
        θ ← θ - lr / (1 - α^t) · m / (√V + eps)

    V - U² cancels where the variance is small against the mean. So U, S = V - U² and w are kept,
    which are the same numbers by other sums: with r = (1 - β)/w,

        U ← U + r·(g - U),  S ← (1 - r)·(S + r·d),  V = S + U²

    Departures from the listing, with the default variant: eps stands outside the square root, as
    section 5 and the authors' code have it. Weight decay is decoupled, which the paper found better
    (section 5).

    AMSGrad, which section 5.1 uses, divides by a maximum. The authors' code takes it of √V + eps,
    after bias correction: a large gradient of the first steps is never outgrown, and β_lo = β_hi
    is far from torch's AMSGrad. torch.optim.AdamW takes it of v, and corrects what it has taken.

    State: m, U, S, w; with amsgrad True d_max, with "torch" v_max. Adam's cannot be gone on from,
    also where β_lo = β_hi: it does not tell U.

    Args:
        betas: (α, (β_lo, β_hi)). β_lo = β_hi is AdamW.
        beta_init: the β of step 1, β_hi where None.
        amsgrad: True divides by max(√V + eps) as the authors' code, "torch" by √(max(v)/w) + eps,
            which for β_lo = β_hi is AdamW with amsgrad=True.
        variant: "authors", the default, which made the paper's results; "paper" is the listing to
            the letter, with √(V + eps).

    Raises:
        ValueError: also for betas that are no such pair of pairs, and where the β of step 1 is not
            below 1: β_hi = 1 is allowed with a beta_init of its own.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, (0.5, 0.999)),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        beta_init: float | None = None,
        amsgrad: bool | str = False,
        variant: str = "authors",
        **common: Unpack[Common],
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "beta_init": beta_init,
            "amsgrad": amsgrad,
            "variant": variant,
        }
        common.setdefault("decoupled", True)
        super().__init__(params, defaults, **common)

    def check_betas(self, betas: Any) -> None:
        if not (is_pair(betas) and is_pair(betas[1])):
            raise ValueError(f"Invalid betas: {betas}, must be (alpha, (beta_lo, beta_hi))")
        alpha, (low, high) = betas
        check_range("beta parameter at index 0", alpha, 0.0, 1.0)
        if not (is_real(low) and is_real(high) and 0.0 <= low <= high <= 1.0):
            raise ValueError(f"Invalid beta parameter at index 1: {betas[1]}")

    def check(self, group: Group) -> None:
        super().check(group)
        check_range("beta_init value", first_beta(group), 0.0, 1.0)
        amsgrad = group["amsgrad"]
        if not (isinstance(amsgrad, bool) or amsgrad == "torch"):
            raise ValueError(f"Invalid amsgrad: {amsgrad}, must be one of False, True, torch")
        check_one_of("variant", group["variant"], ("authors", "paper"))

    def state_names(self, group: Group) -> tuple[str, ...]:
        maximum = {False: (), True: ("d_max",), "torch": ("v_max",)}[group["amsgrad"]]
        return ("m", "U", "S", "w", *maximum)

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (alpha, (low, high)), lr, t = group["betas"], float(group["lr"]), state["step"]
        if t == 1:
            low = high = first_beta(group)
        return {
            "alpha": alpha,
            "one_minus_alpha": 1 - alpha,
            "least": 1 - high,
            "most": 1 - low,
            "eps": group["eps"],
            "step_size": lr / (1 - alpha**t),
        }

    def options(self, group: Group, state: State) -> dict[str, Any]:
        return {"amsgrad": group["amsgrad"], "eps_inside": group["variant"] == "paper"}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, **second: Any) -> None:
        denominator = average(hyper, g, **second)
        m.lerp_(g, hyper.one_minus_alpha)
        p.addcdiv_(m, denominator, value=-hyper.step_size)

    @torch.no_grad()
    def next_beta(self, p: Tensor, group: Group) -> Tensor:
        """β of each element in the step that p.grad asks for. Steps themselves do without it."""
        state = dict(self.state.get(p) or self.new_state(p, group))
        self.advance(state, group)
        theta, g = real(p), real(gradient_of(p))
        rule, numbers = self.rule(group, state, [theta, g])
        hyper = hyper_of(rule)(numbers)
        _, g = prepared(hyper, theta, g)
        _, _, weight = weigh(hyper, g, *(real(state[name]) for name in ("U", "S", "w")))
        return 1 - weight

    def kept_maximum(self, p: Tensor, group: Group) -> Tensor | None:
        """Which elements of the running maximum are above the present value."""
        state = self.state.get(p, {})
        name = next((name for name in ("d_max", "v_max") if name in state), None)
        if name is None:
            return None
        U, S, w = (real(state[key]) for key in ("U", "S", "w"))
        V = S.addcmul(U, U)
        if name == "v_max":
            return real(state[name]) > V.mul(w)
        eps, inside = group["eps"], group["variant"] == "paper"
        present = V.add(eps).sqrt() if inside else V.sqrt().add(eps)
        return real(state[name]) > present

    observations: ClassVar = {
        "optim/beta": Observation("mean β", next_beta, before=True),
        "optim/kept": Observation(KEPT, kept_maximum),
    }


class LaMAdam(MAdam):
    r"""LaMAdam: algorithm 2 of the same paper, LaProp with MAdam's second moment.

        U, V, w as in MAdam
        m ← α·m + (1 - α)·lr·g / (√V + eps)
        e ← α·e + (1 - α)·lr
        θ ← θ - m·lr/e

    This is variant "authors", with a rate that is averaged with the gradients, as LaProp's of that
    name. In "paper", the listing to the letter, lr multiplies last and eps is inside the root:

        m ← α·m + (1 - α)·g / √(V + eps)
        θ ← θ - lr·m / (1 - α^t)

    They differ by eps, and where lr changes. β_lo = β_hi is LaProp, but for weight decay, which is
    AdamW's. All else is as in MAdam.

    State: as MAdam's; with variant "authors" the number lr_average, e above.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, (0.5, 0.999)),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        *,
        beta_init: float | None = None,
        amsgrad: bool | str = False,
        variant: str = "authors",
        **common: Unpack[Common],
    ):
        own = {"beta_init": beta_init, "amsgrad": amsgrad, "variant": variant}
        super().__init__(params, lr, betas, eps, weight_decay, **own, **common)

    def counters(self, group: Group) -> dict[str, int | float]:
        averaged = {"lr_average": 0.0} if group["variant"] == "authors" else {}
        return super().counters(group) | averaged

    def advance(self, state: State, group: Group) -> None:
        super().advance(state, group)
        if group["variant"] == "authors":
            average_rate(state, group["betas"][0], float(group["lr"]), state["step"] - 1)

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        numbers, alpha = super().numbers(group, state), group["betas"][0]
        if group["variant"] == "paper":
            return numbers | {"weight": 1 - alpha, "scale": numbers["step_size"]}
        lr = float(group["lr"])
        return numbers | {"weight": (1 - alpha) * lr, "scale": 1 / correction(state, lr)}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, **second: Any) -> None:
        denominator = average(hyper, g, **second)
        m.mul_(hyper.alpha).addcdiv_(g, denominator, value=hyper.weight)
        p.add_(m, alpha=-hyper.scale)


def first_beta(group: Group) -> float:
    return group["betas"][1][1] if group["beta_init"] is None else group["beta_init"]


def average(
    hyper: Any, g: Any, U: Any, S: Any, w: Any, d_max: Any = None, v_max: Any = None
) -> Any:
    """Move U, S and w on by the gradient g, and a maximum; return the step's denominator."""
    deviation, d, weight = weigh(hyper, g, U, S, w)
    w.addcmul_(weight, w, value=-1).add_(weight)
    r = weight.div_(w)
    U.addcmul_(r, deviation)
    S.addcmul_(r, d)
    S.addcmul_(r, S, value=-1)
    V = S.addcmul(U, U)
    if hyper.amsgrad == "torch":
        return root(hyper, v_max.clamp_min_(V.mul_(w)).div(w))
    denominator = root(hyper, V)
    return d_max.clamp_min_(denominator) if hyper.amsgrad else denominator


def root(hyper: Any, mean_square: Any) -> Any:
    """The square root in place, with eps."""
    if hyper.eps_inside:
        return mean_square.add_(hyper.eps).sqrt_()
    return mean_square.sqrt_().add_(hyper.eps)


def weigh(hyper: Any, g: Any, U: Any, S: Any, w: Any) -> tuple[Any, Any, Any]:
    """The deviation g - U, its square d, and 1 - β, the weight that g gets.

    The weight comes from equation 8 without taking the difference, and is clipped.
    """
    deviation = g.sub(U)
    d = deviation.mul(deviation).clamp_max_(hyper.huge)
    less = d.sub(S).mul_(w).add_(1e-16)
    return deviation, d, less.div_(d.add(S).add_(less)).clamp_(hyper.least, hyper.most)
