"""Optimizers as the loop meets them: several as one, and what only some of them ask for."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


class OptimizerGroup(Optimizer):
    """Several optimizers, each with parameters of its own, as one.

    A schedule and a gradient scaler see the parameter groups of all; a step that the scaler skips
    is skipped by all.

    Attributes:
        optimizers: as they were given.
    """

    def __init__(self, optimizers: Sequence[Optimizer]):
        self.optimizers = list(optimizers)
        super().__init__(self._groups(), {})

    def _groups(self) -> list[dict[str, Any]]:
        """The very groups of each, so that what a schedule sets in them reaches its optimizer."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups = self._groups()


def members(optimizer: Optimizer) -> list[Optimizer]:
    return optimizer.optimizers if isinstance(optimizer, OptimizerGroup) else [optimizer]


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether a step must be given a function that computes the loss, as L-BFGS's."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


class Judged:
    """The weights that an optimizer is to be judged by, where it trains others: Schedule-Free's.

    Those are optimizers with `train()` and `eval()`, which turn the ones into the others and back.
    They stay in training mode but within `with judged():`. What rounding changes on the way back is
    put right, so that training is the same wherever it is evaluated or checkpointed; checkpoints
    hold the weights that are trained, since a run goes on from them.
    """

    def __init__(self, optimizer: Optimizer):
        self._switching: list[Any] = [
            one for one in members(optimizer) if has(one, "train") and has(one, "eval")
        ]
        for one in self._switching:
            one.train()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        groups = [group for one in self._switching for group in one.param_groups]
        trained = [(p, p.detach().clone()) for group in groups for p in group["params"]]
        for one in self._switching:
            one.eval()
        try:
            yield
        finally:
            for one in self._switching:
                one.train()
            with torch.no_grad():
                for p, before in trained:
                    p.copy_(before)


def has(optimizer: Optimizer, name: str) -> bool:
    return callable(getattr(optimizer, name, None))
