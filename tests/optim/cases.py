"""Every rule and variant with its reference, and how tests run both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import reference
import torch
from torch.optim import Optimizer

import optim

EXECUTORS: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {},
    "compile": {"compile": True},
}


@dataclass
class Case:
    """A rule with some settings, and the function that says what it must do."""

    make: type[Optimizer]
    reference: Callable[..., np.ndarray]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        values = [f"{key}={value}" for key, value in self.settings.items()]
        return "-".join([self.make.__name__, *values]).replace(" ", "")


CASES = [
    Case(optim.LpAdam, reference.lp_adam, {"lr": 1e-2}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 1.0}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 1.2}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 1.5, "weight_decay": 0.1}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 3.0, "weight_decay": 0.1, "decoupled": True}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 4.0}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 6.0}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 3.0, "form": "power"}),
    Case(optim.LpAdam, reference.lp_adam, {"p": 1.2, "form": "power"}),
    Case(optim.LpAdaGrad, reference.lp_adagrad),
    Case(optim.LpAdaGrad, reference.lp_adagrad, {"p": 6.0, "weight_decay": 0.1}),
    Case(optim.LaProp, reference.laprop),
    Case(optim.LaProp, reference.laprop, {"variant": "paper"}),
    Case(optim.LaProp, reference.laprop, {"betas": (0.9, 0.0)}),
    Case(
        optim.LaProp, reference.laprop, {"amsgrad": True, "weight_decay": 1e-3, "variant": "paper"}
    ),
    Case(optim.LaProp, reference.laprop, {"centered": True, "betas": (0.9, 0.99)}),
    Case(optim.LaProp, reference.laprop, {"centered": True, "amsgrad": True, "centered_after": 5}),
    Case(optim.LaProp, reference.laprop, {"weight_decay": 0.1, "decoupled": False}),
    Case(optim.LaProp, reference.laprop, {"variant": "paper", "eps": 1e-4}),
    Case(optim.LaProp, reference.laprop, {"eps": 1e-4}),
    Case(optim.LaProp, reference.laprop, {"amsgrad": "corrected", "betas": (0.9, 0.9)}),
    Case(
        optim.LaProp,
        reference.laprop,
        {"amsgrad": "corrected", "variant": "paper", "eps": 1e-4, "betas": (0.9, 0.9)},
    ),
    Case(optim.LaProp, reference.laprop, {"centered": "waits", "betas": (0.9, 0.99)}),
    Case(
        optim.LaProp,
        reference.laprop,
        {
            "centered": "waits",
            "variant": "paper",
            "amsgrad": "corrected",
            "weight_decay": 1e-3,
            "betas": (0.9, 0.9),
        },
    ),
    Case(optim.SignSGDM, reference.sign_sgdm),
    Case(optim.SignSGDM, reference.sign_sgdm, {"momentum": 0.0}),
    Case(optim.Signum, reference.signum),
    Case(optim.Signum, reference.signum, {"momentum": 0.5}),
    Case(optim.AdamAL, reference.adamal),
    Case(optim.AdamAL, reference.adamal, {"weight_decay": 0.1}),
    Case(optim.AdamAL, reference.adamal, {"weight_decay": 0.1, "decoupled": True}),
    Case(optim.AdamAL, reference.adamal, {"variant": "listing"}),
    Case(optim.AdamAL, reference.adamal, {"project": (-1.0, 0.5)}),
    Case(optim.Padam, reference.padam),
    Case(optim.Padam, reference.padam, {"variant": "paper", "weight_decay": 5e-4}),
    Case(optim.Padam, reference.padam, {"partial": 0.2}),
    Case(optim.Padam, reference.padam, {"partial": 0.5, "variant": "paper"}),
    Case(optim.MAdam, reference.madam),
    Case(optim.MAdam, reference.madam, {"betas": (0.0, (0.5, 1.0)), "beta_init": 0.9}),
    Case(optim.MAdam, reference.madam, {"betas": (0.9, (0.5, 0.98)), "weight_decay": 0.1}),
    Case(optim.MAdam, reference.madam, {"weight_decay": 0.1, "decoupled": False}),
    Case(optim.MAdam, reference.madam, {"amsgrad": True}),
    Case(optim.MAdam, reference.madam, {"amsgrad": "torch"}),
    Case(optim.MAdam, reference.madam, {"variant": "paper", "eps": 1e-4}),
    Case(optim.MAdam, reference.madam, {"variant": "paper", "eps": 1e-4, "amsgrad": True}),
    Case(optim.LaMAdam, reference.lamadam),
    Case(optim.LaMAdam, reference.lamadam, {"variant": "paper", "eps": 1e-4}),
    Case(optim.LaMAdam, reference.lamadam, {"variant": "paper", "amsgrad": "torch", "eps": 1e-4}),
    Case(optim.LaMAdam, reference.lamadam, {"weight_decay": 0.1, "beta_init": 0.9}),
    Case(optim.LaMAdam, reference.lamadam, {"amsgrad": True}),
    Case(optim.LaMAdam, reference.lamadam, {"amsgrad": "torch"}),
    Case(optim.AdaBelief, reference.adabelief),
    Case(optim.AdaBelief, reference.adabelief, {"eps": 1e-8, "weight_decay": 0.1}),
    Case(optim.AdaBound, reference.adabound),
    Case(optim.AdaBound, reference.adabound, {"gamma": 0.1, "final_lr": 0.01, "weight_decay": 0.1}),
    Case(optim.Yogi, reference.yogi),
    Case(optim.Yogi, reference.yogi, {"initial": 0.0, "weight_decay": 0.1}),
]

RULES = [case for case in CASES if not case.settings or case.settings == {"lr": 1e-2}]


def tolerance(case: Case, dtype: torch.dtype) -> float:
    """Largest error allowed, as a share of the largest displacement."""
    if dtype == torch.float32:
        return 1e-5
    # The printed V - U² cancels in float64 too.
    return 1e-7 if issubclass(case.make, optim.MAdam) else 1e-9


def draw(shapes: list[tuple[int, ...]], steps: int, dtype: torch.dtype) -> tuple[list, list]:
    """Parameters, and gradients for every step, of many scales and with means of their own."""
    generator = torch.Generator().manual_seed(0)

    def normal(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    starts = [(0.01 * normal(shape)).to(dtype) for shape in shapes]
    scales = [10 ** (2 * torch.rand(shape, generator=generator) - 2) for shape in shapes]
    means = [normal(shape) for shape in shapes]
    gradients = [
        [(s * (mu + normal(s.shape))).to(dtype) for s, mu in zip(scales, means, strict=True)]
        for _ in range(steps)
    ]
    return starts, gradients


def schedule(lr: float) -> Callable[[int], float]:
    return lambda t: lr * (1 - t / 100)


def path(
    case: Case, starts: list, gradients: list, executor: str, device: str | torch.device = "cpu"
) -> list[np.ndarray]:
    """θ after every step, of each parameter, by the optimizer."""
    parameters = [torch.nn.Parameter(start.clone().to(device)) for start in starts]
    lr = schedule(rate_of(case))
    settings = case.settings | {"lr": lr(1)} | EXECUTORS[executor]
    optimizer = case.make(parameters, **settings)
    steps = []
    for t, step in enumerate(gradients, 1):
        optimizer.param_groups[0]["lr"] = lr(t)
        for p, g in zip(parameters, step, strict=True):
            p.grad = g.to(device)
        optimizer.step()
        steps.append([p.detach().double().cpu().numpy().copy() for p in parameters])
    return [np.stack(column) for column in zip(*steps, strict=True)]


def expected(case: Case, starts: list, gradients: list) -> list[np.ndarray]:
    settings = {k: v for k, v in case.settings.items() if k != "lr"}
    columns = zip(*gradients, strict=True)
    return [
        case.reference(
            start.double().numpy(),
            [g.double().numpy() for g in column],
            lr=schedule(rate_of(case)),
            **settings,
        )
        for start, column in zip(starts, columns, strict=True)
    ]


def rate_of(case: Case) -> float:
    default = case.make([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"]
    return case.settings.get("lr", default)


def worst_error(got: list[np.ndarray], want: list[np.ndarray], starts: list) -> float:
    """The largest |difference| over the largest displacement, over all parameters and steps."""
    error = max(np.abs(a - b).max() for a, b in zip(got, want, strict=True))
    moved = max(np.abs(b - s.double().numpy()).max() for b, s in zip(want, starts, strict=True))
    return float(error / moved)
