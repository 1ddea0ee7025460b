"""Gradients that are prescribed, to see only what an optimizer does with them."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from tasks.bounds import Count, CountOrZero, Positive
from tasks.metrics import Metric
from tasks.trials import Trials


class PrescribedGradients(Trials):
    """An optimizer and a reference on the same gradients, which do not depend on the parameters.

    Each trial is one element, from 0 on; its gradients are zeros at first, then scale·N(0, 1), and
    from step `zeros_after` on zeros again. The
    reference steps in float64, on gradients that are the same after rounding to `dtype`.

    `optim/largest_step` is the largest step so far of any element, in units of lr;
    `optim/distance` is the largest difference so far between the displacements of the two since
    step `burn_in`, as a share of the reference's largest. With `zeros_after`, `optim/step_ratio` is
    the size of each element's last step by that of the one before, 0 where that was 0.

    Args:
        scale: standard deviation of the gradients.
        zeros: steps at the beginning whose gradients are 0.
        zeros_after: the step from which on they are 0 again; None: never.
        burn_in: steps that the two are not compared in.
        dtype: of the parameters, their gradients and so the optimizer's state.
        lr: the optimizer's learning rate.
        reference: makes the other optimizer from its parameters.
    """

    metrics: ClassVar = {
        "optim/largest_step": Metric("largest step / lr", log=True),
        "optim/distance": Metric("relative distance from the reference", "min", log=True),
        "optim/step_ratio": Metric("step / step before"),
    }
    headline = "optim/distance"

    def __init__(
        self,
        *,
        scale: Positive,
        zeros: CountOrZero,
        burn_in: CountOrZero,
        dtype: Literal["float32", "float64"],
        lr: float,
        reference: Callable[[Iterable[Tensor]], Optimizer],
        zeros_after: Count | None = None,
        **budget: Any,
    ):
        self.scale, self.zeros, self.burn_in, self.lr = scale, zeros, burn_in, lr
        self.zeros_after = zeros_after
        self.dtype = getattr(torch, dtype)
        super().__init__(**budget)
        if burn_in >= self.steps:
            raise ValueError(f"task.burn_in={burn_in}: must be less than task.steps={self.steps}")
        self.twin = torch.zeros(self.trials, 1, dtype=torch.float64, device=self.device)
        self.reference = reference([self.twin])
        # Largest so far: the step, the difference, the reference's displacement.
        self.largest = torch.zeros(3, dtype=torch.float64, device=self.device)
        # The parameters and the reference's after `burn_in` steps.
        self.origin = torch.zeros(2, self.trials, 1, dtype=torch.float64, device=self.device)
        # Of each element: its last step, and that by the one before.
        self.last, self.ratio = torch.zeros(2, self.trials, dtype=torch.float64, device=self.device)
        self._before = self.theta.clone()

    def start(self) -> Tensor:
        return torch.zeros(self.trials, 1, dtype=self.dtype)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        normal = torch.randn(steps, self.trials, 1, generator=generator, dtype=torch.float64)
        return (self.scale * normal).to(self.dtype)

    def batch(self, step: int) -> Tensor:
        drawn = super().batch(step)
        silent = self.zeros_after is not None and step >= self.zeros_after
        return torch.zeros_like(drawn) if step < self.zeros or silent else drawn

    def loss(self, batch: Tensor) -> Tensor:
        self._before = self.theta.clone()
        self.twin.grad = batch.double()
        return (batch * self.model.theta).sum()

    def after_step(self, step: int) -> None:
        self.reference.step()
        both = torch.stack([self.theta.double(), self.twin])
        if step < self.burn_in:
            self.origin = both
        moved, reference = both - self.origin
        changes = (both[0] - self._before.double(), moved - reference, reference)
        of_step = torch.stack([change.abs().max() for change in changes])
        self.largest = torch.maximum(self.largest, of_step)
        size = changes[0].abs()[:, 0]
        self.ratio = (size / self.last).nan_to_num(nan=0.0, posinf=0.0)
        self.last = size

    def evaluate(self) -> dict[str, float | Tensor]:
        step, difference, displacement = self.largest.tolist()
        ratio = {} if self.zeros_after is None else {"optim/step_ratio": self.ratio}
        return {
            **ratio,
            "optim/largest_step": step / self.lr,
            # Where the reference has not moved, any difference counts as 1.
            "optim/distance": difference / displacement if displacement else float(difference > 0),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "twin": self.twin,
            "reference": self.reference.state_dict(),
            "largest": self.largest,
            "origin": self.origin,
            "last": self.last,
            "ratio": self.ratio,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.twin.copy_(state["twin"])
        self.reference.load_state_dict(state["reference"])
        self.largest = state["largest"].to(self.device)
        self.origin = state["origin"].to(self.device)
        self.last, self.ratio = (state[name].to(self.device) for name in ("last", "ratio"))
