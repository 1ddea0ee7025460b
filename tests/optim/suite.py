"""The optimizers, inputs and helpers of the suite that every optimizer of torch's kind passes.

It runs over torch.optim.Adam too: what it asks for, torch's own do.
"""

from typing import Any

import pytest
import torch
from cases import EXECUTORS, RULES
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

import optim

OURS = [case.make for case in RULES]
ALL = [*OURS, torch.optim.Adam]
EXECUTOR_MARKS = ["loop", "foreach", pytest.param("compile", marks=pytest.mark.slow)]
COMMON: list[dict[str, Any]] = [
    {},
    {"lr": 1e-2, "weight_decay": 0.1},
    {"lr": 1e-2, "maximize": True},
    {"lr": torch.tensor(1e-2), "weight_decay": 0.01},
]
OWN: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (optim.LpAdam, {"p": 1.2}),
    (optim.LpAdam, {"p": 6, "form": "power"}),
    (optim.LpAdam, {"p": 3, "weight_decay": 0.1, "decoupled": True}),
    (optim.LaProp, {"betas": (0.9, 0.0), "variant": "paper"}),
    (optim.LaProp, {"amsgrad": True, "centered": True, "centered_after": 2}),
    (optim.SignSGDM, {"momentum": 0.0}),
    (optim.Padam, {"partial": 0.5}),
    (optim.MAdam, {"betas": (0.0, (0.5, 1.0)), "beta_init": 0.9, "amsgrad": True}),
    (optim.LaMAdam, {"betas": [0.9, [0.5, 0.98]]}),  # as YAML has it
    (optim.AdaBound, {"final_lr": 0.5, "gamma": 0.1}),
    (optim.Yogi, {"initial": 0.1}),
    (torch.optim.Adam, {"amsgrad": True}),
]
INPUTS = [(make, common) for make in ALL for common in COMMON] + OWN

every_optimizer = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
every_own = pytest.mark.parametrize("make", OURS, ids=lambda make: make.__name__)
every_input = pytest.mark.parametrize(("make", "inputs"), INPUTS, ids=str)
every_executor = pytest.mark.parametrize("executor", EXECUTOR_MARKS)


def way(make: type[Optimizer], executor: str) -> dict[str, Any]:
    # torch's Adam has no option of its own to compile.
    return (
        {} if issubclass(make, torch.optim.Adam) and executor == "compile" else EXECUTORS[executor]
    )


def fresh(
    dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (5,), (1,), ()]
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    return [Parameter(values.to(device, dtype)) for values in drawn]


def gradient(p: Tensor, t: int) -> Tensor:
    generator = torch.Generator().manual_seed(100 * t + p.numel())
    real = torch.randn(2, *p.shape, generator=generator)
    drawn = torch.complex(real[0], real[1]) if p.is_complex() else real[0]
    return drawn.to(p.device, p.dtype)


def take(optimizer: Optimizer, steps: range) -> None:
    for t in steps:
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = gradient(p, t)
        optimizer.step()


def parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p.detach() for p in leaves(optimizer)]


def leaves(optimizer: Optimizer) -> list[Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def assert_same(a: Optimizer, b: Optimizer, tolerance: float = 0.0) -> None:
    for p, q in zip(parameters(a), parameters(b), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def options_of(optimizer: Optimizer, group: int = 0) -> set[str]:
    # torch adds this one to any optimizer that is loaded or copied.
    return set(optimizer.param_groups[group]) - {"differentiable"}
