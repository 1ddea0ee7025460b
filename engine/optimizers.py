"""Optimizers as the loop uses them: several as one, and what only some of them need."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


class OptimizerGroup(Optimizer):
    """Several optimizers, each for other parameters, as one.

    A schedule and a gradient scaler see the parameter groups of all; a step that the scaler skips
    is skipped by all.

    Attributes:
        optimizers: the optimizers that were given.
    """

    def __init__(self, optimizers: Sequence[Optimizer]):
        self.optimizers = list(optimizers)
        super().__init__(self._groups(), {})

    def _groups(self) -> list[dict[str, Any]]:
        """The same dictionaries as the optimizers', so that what a schedule sets reaches them."""
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
    """Whether a step needs a function that computes the loss, as L-BFGS's does."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


class EvaluationWeights:
    """The weights to evaluate, where an optimizer trains others, as Schedule-Free does.

    Such optimizers have `train()` and `eval()`, which convert the weights from one to the other.
    They are in evaluation mode only inside the context that a call makes. After it the trained
    weights are restored exactly, without the rounding of the conversion, so that training does not
    depend on when it is evaluated. Checkpoints hold the trained weights.
    """

    def __init__(self, optimizer: Optimizer):
        self._switching: list[Any] = [
            member
            for member in members(optimizer)
            if has_method(member, "train") and has_method(member, "eval")
        ]
        for member in self._switching:
            member.train()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        groups = [group for optimizer in self._switching for group in optimizer.param_groups]
        trained = [(p, p.detach().clone()) for group in groups for p in group["params"]]
        for optimizer in self._switching:
            optimizer.eval()
        try:
            yield
        finally:
            for optimizer in self._switching:
                optimizer.train()
            with torch.no_grad():
                for p, trained_values in trained:
                    p.copy_(trained_values)


def has_method(optimizer: Optimizer, name: str) -> bool:
    return callable(getattr(optimizer, name, None))
