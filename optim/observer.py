"""What happens inside a step, for figures: its size, and what the optimizer declares."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from optim.base import ElementwiseOptimizer
from optim.observation import Observation, observations_of
from optim.operands import whole
from optim.state import Group

Pairs = list[tuple[Group, Tensor]]


class Observer:
    """Watches every step of an optimizer, or of several, torch's own included, until it is closed.

        with Observer(optimizer) as seen:
            optimizer.step()
            print(seen.mean_abs_step, seen.metrics())

    It hooks into `step`, so that an optimizer without one does nothing more than usual, and the
    numbers of one that is watched do not change. It keeps a copy of the parameters. What it tells
    of a DTensor's elements is a DTensor; `mean_abs_step` and `metrics` are over all, and every
    process has to watch for them.

    Attributes:
        values: name of an observation → parameter → its numbers in the last step.
    """

    def __init__(self, *optimizers: Optimizer):
        self.values: dict[str, dict[Tensor, Tensor]] = {}
        self._each: set[str] = set()
        self._quantiles: dict[str, float] = {}
        self._before: dict[Tensor, Tensor] = {}
        self._moved: dict[Tensor, Tensor] = {}
        self._hooks: list[Any] = []
        for optimizer in optimizers:
            self._hooks.append(optimizer.register_step_pre_hook(self._look_before))
            self._hooks.append(optimizer.register_step_post_hook(self._look_after))
            observations = observations_of(optimizer)
            self.values |= {name: {} for name in observations}
            self._each |= {name for name, it in observations.items() if it.each}
            self._quantiles |= {
                name: it.quantile for name, it in observations.items() if it.quantile is not None
            }
            # A gradient scaler may skip the step; what was counted over those before still holds.
            self._look(optimizer, pairs_of(optimizer), lambda it: it.each)

    @property
    def mean_abs_step(self) -> float:
        """Mean of |θ after - θ before| in the last step, over all elements that had a gradient.

        Decoupled weight decay is not counted, as in figures 3 to 5 of the MAdam paper. 0 before the
        first step, and where nothing had a gradient.
        """
        elements = sum(p.numel() for p in self._moved)
        return math.fsum(total.item() for total in self._moved.values()) / max(elements, 1)

    def metrics(self) -> dict[str, float | Tensor]:
        """All that is seen, by the names of metrics: means or quantiles, or each number."""
        metrics: dict[str, float | Tensor] = {"optim/mean_abs_step": self.mean_abs_step}
        for name, of_parameters in self.values.items():
            values = list(of_parameters.values())
            if values and name in self._each:
                metrics[name] = torch.cat([each.reshape(-1) for each in values])
            elif values and name in self._quantiles:
                metrics[name] = quantile(values, self._quantiles[name])
            elif values:
                metrics[name] = mean(values)
        return metrics

    def close(self) -> None:
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @torch.no_grad()
    def _look_before(self, optimizer: Optimizer, *_: Any) -> None:
        pairs = pairs_of(optimizer)
        self._before |= {p: p.detach().clone() for _, p in pairs}
        pairs = [(group, p) for group, p in pairs if p.grad is not None]
        self._look(optimizer, pairs, lambda it: it.before and not it.each)

    @torch.no_grad()
    def _look_after(self, optimizer: Optimizer, *_: Any) -> None:
        every = pairs_of(optimizer)
        # Kept, since a step that calls its parent class's step is seen twice.
        before = {p: self._before[p] for _, p in every}
        pairs = [(group, p) for group, p in every if p.grad is not None]
        moved = {p: step_of(optimizer, group, p, before[p]) for group, p in pairs}
        self._moved = without(self._moved, every)
        self._moved |= {p: whole(step.abs().sum()) for p, step in moved.items()}
        self._look(optimizer, pairs, lambda it: not it.before and not it.each)
        self._look(optimizer, every, lambda it: it.each)

    @torch.no_grad()
    def _look(
        self, optimizer: Optimizer, pairs: Pairs, which: Callable[[Observation], bool]
    ) -> None:
        for name, observation in observations_of(optimizer).items():
            if which(observation):
                found = {p: observation.of(optimizer, p, group) for group, p in pairs}
                self.values[name] = without(self.values[name], pairs_of(optimizer))
                self.values[name] |= {p: value for p, value in found.items() if value is not None}


def pairs_of(optimizer: Optimizer) -> Pairs:
    return [(group, p) for group in optimizer.param_groups for p in group["params"]]


def without(values: dict[Tensor, Tensor], pairs: Pairs) -> dict[Tensor, Tensor]:
    """Those of other optimizers' parameters."""
    own = {p for _, p in pairs}
    return {p: value for p, value in values.items() if p not in own}


def mean(values: list[Tensor]) -> float:
    """The mean over all elements of all tensors, summed in float64."""
    total = sum(whole(each.sum(dtype=torch.float64)).item() for each in values)
    return total / max(sum(each.numel() for each in values), 1)


def quantile(values: list[Tensor], share: float) -> float:
    """The least number that at least this share of all elements of all tensors do not exceed."""
    together = torch.cat([whole(each).reshape(-1) for each in values])
    rank = min(max(math.ceil(share * len(together)), 1), len(together))
    return together.kthvalue(rank).values.item()  # torch.quantile takes 2^24 elements at most


def step_of(optimizer: Optimizer, group: Group, after: Tensor, before: Tensor) -> Tensor:
    """What the step added to the parameter, without decoupled decay, in float64."""
    wide = torch.promote_types(before.dtype, torch.float64)
    before, after = before.to(wide), after.to(wide)
    if not (group.get("decoupled") or group.get("decoupled_weight_decay")):
        return after - before
    if not isinstance(optimizer, ElementwiseOptimizer):
        return after - before * (1 - float(group["lr"]) * group["weight_decay"])
    factor = optimizer.decay_factor(group)
    return after / factor - before if optimizer.decays_after else after - before * factor
