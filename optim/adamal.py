"""AdamAL: Adam whose second moment never falls, by raising what goes into it."""

from typing import Any, Unpack

from torch import Tensor

from optim.base import Common, ElementwiseOptimizer, Group, State
from optim.checks import check_one_of, is_pair, is_real
from optim.operands import real


class AdamAL(ElementwiseOptimizer):
    r"""AdamAL, algorithm 1 of its paper.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·max(g², v)
        θ ← θ - lr·m / (√v + eps)

    No bias correction, so that the first step is lr·(1 - β1)/√(1 - β2), about 3·lr. The listing has
    no eps; the one here is Adam's. No code of the authors is known.

    With β2, which equation 18 shows, v is also that of AMSGrad as the paper prints it in equation
    16, v ← max(β2·v + (1 - β2)·g², v): the maximum is fed back, which that of Reddi et al. is not.
    So the paper's two methods are one. With β1 in v's line, which the listing prints, it is
    another rule: at β1 = 0, v is the greatest g² so far.

    Args:
        variant: "equation", the default, has β2 in v's line; "listing" is algorithm 1 to the
            letter, with β1 there.
        project: (low, high), a box onto which line 8 projects θ after the step: to its nearest
            point, which is the same whatever the weights √v. None, the default: all of space.

    State: m, v. Neither Adam's nor AMSGrad's can be gone on from: what goes into v depends on v.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        variant: str = "equation",
        project: tuple[float, float] | None = None,
        **common: Unpack[Common],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"variant": variant, "project": project}, **common)

    def check(self, group: Group) -> None:
        super().check(group)
        check_one_of("variant", group["variant"], ("equation", "listing"))
        if group["project"] is not None:
            check_box("project", group["project"])

    def _update(self) -> None:
        super()._update()
        for group in self.param_groups:
            # A step with lr 0 is there to change nothing.
            if group["project"] is None or not float(group["lr"]):
                continue
            low, high = group["project"]
            for p in group["params"]:
                if p.grad is not None:
                    real(p).clamp_(low, high)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("m", "v")

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        beta1, beta2 = group["betas"]
        of_v = beta1 if group["variant"] == "listing" else beta2
        return {
            "one_minus_beta1": 1 - beta1,
            "beta_v": of_v,
            "one_minus_beta_v": 1 - of_v,
            "eps": group["eps"],
            "step_size": float(group["lr"]),
        }

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, m: Any, v: Any) -> None:
        m.lerp_(g, hyper.one_minus_beta1)
        raised = g.mul(g).clamp_min_(v)
        v.mul_(hyper.beta_v).add_(raised, alpha=hyper.one_minus_beta_v)
        p.addcdiv_(m, v.sqrt().add_(hyper.eps), value=-hyper.step_size)


def check_box(name: str, box: Any) -> None:
    """Raise ValueError unless it is two numbers, the first one below the second."""
    if not (is_pair(box) and all(map(is_real, box)) and box[0] < box[1]):
        raise ValueError(f"Invalid {name}: {box}, must be two numbers, the lower one first")
