"""AdaBound: Adam whose rate is clipped ever closer to SGD's (Luo et al. 2019)."""

import math
from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_above_zero, check_range


class AdaBound(ElementwiseOptimizer):
    r"""AdaBound: "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", algorithm 2.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²
        η = clip(lr·√(1 - β2^t)/(1 - β1^t) / (√v + eps), low, high)
            low = f·(1 - 1/(gamma·t + 1)),  high = f·(1 + 1/(gamma·t))
        θ ← θ - η·m

    with f = final_lr·lr/lr₀, so that a schedule moves the bounds too. Bias correction and f are as
    in the authors' code; the listing has neither. lr₀ is the group's lr when it was added, kept in
    the group as `first_lr`.

    State: m, v.

    Args:
        final_lr: the rate of SGD in the end.
        gamma: how fast the bounds close, above 0.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"final_lr": final_lr, "gamma": gamma}, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_range("final_lr value", group["final_lr"], 0.0)
        check_above_zero("gamma value", group["gamma"])
        check_range("first_lr value", group.get("first_lr", 0.0), 0.0)

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self._note_first_lr()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._note_first_lr()

    def _note_first_lr(self) -> None:
        for group in self.param_groups:
            # Schedulers keep what lr was before them as initial_lr.
            group.setdefault("first_lr", float(group.get("initial_lr", group["lr"])))

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "v")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        (beta1, beta2), lr, t = group["betas"], float(group["lr"]), state["step"]
        gamma = group["gamma"]
        # A first lr of 0 gives no scale to move by.
        bound = group["final_lr"] * (lr / group["first_lr"] if group["first_lr"] else 1.0)
        step_size = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        low, high = bound * (1 - 1 / (gamma * t + 1)), bound * (1 + 1 / (gamma * t))
        return {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "step_size": step_size,
            # Bounds of √v + eps are those of η the other way round; lr = 0 makes no step.
            "least": step_size / high if step_size and high else math.inf,
            "most": step_size / low if step_size and low else math.inf,
        }

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        v.mul_(hyper.beta2).addcmul_(g, g, value=hyper.one_minus_beta2)
        p.addcdiv_(
            m, v.sqrt().add_(hyper.eps).clamp_(hyper.least, hyper.most), value=-hyper.step_size
        )
