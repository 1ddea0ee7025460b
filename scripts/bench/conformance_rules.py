"""Rules that several packages offer, how each package takes its steps, and why steps differ."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import Parameter
from torch.optim import Optimizer

import optim
from scripts.bench.contenders import timm_optimizer

Steps = NDArray[np.float64]  # the parameters after each step, (steps, elements)
# From the rate, whether it moves, and the weight decay.
Walk = Callable[[float, bool, float], Steps]
Make = Callable[[Sequence[Parameter], float, float], Optimizer]

STEPS, ELEMENTS = 50, 64
BETAS = (0.9, 0.99)
EPS = 1e-8
DECAY = 0.1


def gradients() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shape = (ELEMENTS,)
    return [
        math.exp(-step / 20) * torch.randn(shape, generator=draw, dtype=torch.float64)
        for step in range(STEPS)
    ]


def start() -> torch.Tensor:
    return torch.randn(ELEMENTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def rates(lr: float, moves: bool) -> list[float]:
    return [lr * (1 - 0.9 * step / (STEPS - 1)) if moves else lr for step in range(STEPS)]


# -- how each kind of package takes its steps ------------------------------------------------------


def of_torch(make: Make) -> Walk:
    def walk(lr: float, moves: bool, decay: float) -> Steps:
        parameter = Parameter(start())
        optimizer = make([parameter], lr, decay)
        path = []
        for rate, gradient in zip(rates(lr, moves), gradients(), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate
            parameter.grad = gradient
            optimizer.step()
            path.append(parameter.detach().clone().numpy())
        return np.stack(path)

    return walk


def of_optax(make: Callable[[Any, Any, float], Any]) -> Walk:
    """`make(optax, schedule, weight_decay)`: a gradient transformation."""

    def walk(lr: float, moves: bool, decay: float) -> Steps:
        jax = import_module("jax")
        jax.config.update("jax_enable_x64", True)
        optax, jnp = import_module("optax"), import_module("jax.numpy")
        table = jnp.asarray(rates(lr, moves))
        transformation = make(optax, lambda step: table[step], decay)
        parameters = jnp.asarray(start().numpy())
        state = transformation.init(parameters)
        path = []
        for gradient in gradients():
            updates, state = transformation.update(jnp.asarray(gradient.numpy()), state, parameters)
            parameters = optax.apply_updates(parameters, updates)
            path.append(np.asarray(parameters))
        return np.stack(path)

    return walk


def of_formula(step: Callable[..., Any]) -> Walk:
    """`step(t, θ, gradient, rate, weight_decay, state)`: θ after it."""

    def walk(lr: float, moves: bool, decay: float) -> Steps:
        theta, state, path = start().numpy(), {}, []
        steps = zip(rates(lr, moves), gradients(), strict=True)
        for t, (rate, gradient) in enumerate(steps, 1):
            theta = step(t, theta, gradient.numpy(), rate, decay, state)
            path.append(theta)
        return np.stack(path)

    return walk


def lion(t: int, theta: Any, g: Any, lr: float, decay: float, state: dict[str, Any]) -> Any:
    """Chen et al. (2023), algorithm 2."""
    m = state.get("m", 0 * g)
    state["m"] = 0.99 * m + 0.01 * g
    return theta - lr * (np.sign(0.9 * m + 0.1 * g) + decay * theta)


def adan(t: int, theta: Any, g: Any, lr: float, decay: float, state: dict[str, Any]) -> Any:
    """Xie et al. (2022), algorithm 1, with bias correction as in the authors' code.

    Betas are the shares that are kept, .98, .92 and .99, one minus those of the paper.
    """
    difference = g - state.get("g", g)
    m, v, n = (state.get(name, 0 * g) for name in "mvn")
    m, v = 0.98 * m + 0.02 * g, 0.92 * v + 0.08 * difference
    n = 0.99 * n + 0.01 * (g + 0.92 * difference) ** 2
    state.update(g=g, m=m, v=v, n=n)
    corrected = m / (1 - 0.98**t) + 0.92 * v / (1 - 0.92**t)
    return (theta - lr * corrected / (np.sqrt(n / (1 - 0.99**t)) + EPS)) / (1 + lr * decay)


# -- what is compared ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One rule in several packages; the first is what the others are held against.

    Attributes:
        lr: the learning rate.
        walks: by package: (lr, whether it moves, weight decay) → the path.
        causes: why a package's path is another; nothing where it differs by rounding alone.
    """

    lr: float
    walks: Mapping[str, Walk]
    causes: Mapping[str, str] = field(default_factory=dict)


def peer(name: str, **settings: Any) -> Walk:
    """A class of pytorch_optimizer."""

    def make(parameters: Sequence[Parameter], lr: float, decay: float) -> Optimizer:
        optimizer = getattr(import_module("pytorch_optimizer"), name)
        return optimizer(parameters, lr=lr, weight_decay=decay, **settings)

    return of_torch(make)


def timm(name: str, **settings: Any) -> Walk:
    def make(parameters: Sequence[Parameter], lr: float, decay: float) -> Optimizer:
        return timm_optimizer(name, lr=lr, weight_decay=decay, **settings)(parameters)

    return of_torch(make)


def torchs(name: str, **settings: Any) -> Walk:
    def make(parameters: Sequence[Parameter], lr: float, decay: float) -> Optimizer:
        return getattr(torch.optim, name)(parameters, lr=lr, weight_decay=decay, **settings)

    return of_torch(make)


def ours(name: str, **settings: Any) -> Walk:
    def make(parameters: Sequence[Parameter], lr: float, decay: float) -> Optimizer:
        optimizer = getattr(optim, name)
        return optimizer(parameters, lr=lr, weight_decay=decay, foreach=False, **settings)

    return of_torch(make)


def with_l2(make: Callable[..., Any]) -> Walk:
    """A rule of optax with weight decay as a part of the gradient."""
    return of_optax(
        lambda optax, lr, decay: optax.chain(optax.add_decayed_weights(decay), make(optax, lr))
    )


USUAL = {"betas": BETAS, "eps": EPS}
STARTS_LATE = "m and v start at 1e-6, and in the paper m at 0"
ROOT_OF_MORE = "adds 1e-15 to v under the root"
SCALED_DECAY = "decay is scaled by the rate, where LaProp's algorithm has it alone"

RULES: dict[str, Rule] = {
    "Adam": Rule(
        1e-2,
        {
            "optim": ours("LpAdam", p=2.0, **USUAL),
            "torch": torchs("Adam", **USUAL),
            "optax": with_l2(lambda optax, lr: optax.adam(lr, *BETAS, EPS)),
        },
    ),
    "AdamW": Rule(
        1e-2,
        {
            "optim": ours("LpAdam", p=2.0, decoupled=True, **USUAL),
            "torch": torchs("AdamW", **USUAL),
            "timm": timm("AdamWLegacy", **USUAL),
            "optax": of_optax(lambda o, lr, decay: o.adamw(lr, *BETAS, EPS, weight_decay=decay)),
        },
    ),
    "AMSGrad": Rule(
        1e-2,
        {
            "torch": torchs("Adam", amsgrad=True, **USUAL),
            "optax": with_l2(lambda optax, lr: optax.amsgrad(lr, *BETAS, EPS)),
        },
        {"optax": "the maximum is of v after bias correction, in torch of v before it"},
    ),
    "AdaMax": Rule(
        1e-2,
        {
            "torch": torchs("Adamax", **USUAL),
            "pytorch_optimizer": peer("AdaMax", **USUAL),
            "optax": with_l2(lambda optax, lr: optax.adamax(lr, *BETAS, EPS)),
        },
    ),
    "NAdam": Rule(
        1e-2,
        {
            "torch": torchs("NAdam", **USUAL),
            "timm": timm("NAdamLegacy", **USUAL),
            "optax": with_l2(lambda optax, lr: optax.nadam(lr, *BETAS, EPS)),
        },
        {
            "timm": "torch keeps the product of momenta in float32",
            "optax": "β₁ is constant, where Dozat (2016) has it rise by 0.96^(0.004 t)",
        },
    ),
    "RAdam": Rule(
        1e-2,
        {
            "torch": torchs("RAdam", decoupled_weight_decay=True, **USUAL),
            "pytorch_optimizer": peer("RAdam", degenerated_to_sgd=True, **USUAL),
            "timm": timm("RAdamLegacy", **USUAL),
            "optax": of_optax(
                lambda optax, lr, decay: optax.chain(
                    optax.scale_by_radam(*BETAS, EPS),
                    optax.add_decayed_weights(decay),
                    optax.scale_by_learning_rate(lr),
                )
            ),
        },
        {
            "timm": "computes in float32",
            "optax": "eps is added to the root of v after bias correction, in torch before it",
        },
    ),
    "AdaBelief": Rule(
        1e-3,
        {
            "optim": ours("AdaBelief", betas=BETAS, eps=1e-16, decoupled=True),
            "pytorch_optimizer": peer("AdaBelief", betas=BETAS, eps=1e-16),
            "timm": timm("AdaBelief", betas=BETAS, eps=1e-16, rectify=False),
            "optax": of_optax(
                lambda optax, lr, decay: optax.chain(
                    optax.scale_by_belief(*BETAS, 1e-16, 1e-16),
                    optax.add_decayed_weights(decay),
                    optax.scale_by_learning_rate(lr),
                )
            ),
        },
    ),
    "AdaBound": Rule(
        1e-3,
        {
            "optim": ours("AdaBound", betas=BETAS),
            "pytorch_optimizer": peer("AdaBound", betas=BETAS, weight_decouple=False),
        },
        {"pytorch_optimizer": ROOT_OF_MORE},
    ),
    "Yogi": Rule(
        1e-2,
        {
            "optim": ours("Yogi", betas=BETAS, eps=1e-3),
            "pytorch_optimizer": peer("Yogi", betas=BETAS, eps=1e-3, weight_decouple=False),
            "optax": with_l2(lambda optax, lr: optax.yogi(lr, *BETAS, 1e-3)),
        },
        {"pytorch_optimizer": STARTS_LATE, "optax": STARTS_LATE},
    ),
    "LaProp": Rule(
        4e-4,
        {
            "optim": ours("LaProp", betas=BETAS, eps=1e-15),
            "pytorch_optimizer": peer("LaProp", betas=BETAS, eps=1e-15),
            "timm": timm("LaProp", betas=BETAS, eps=1e-15),
        },
        {
            "pytorch_optimizer": f"{ROOT_OF_MORE}; {SCALED_DECAY}",
            "timm": f"keeps the averages of the rate in float32; {SCALED_DECAY}",
        },
    ),
    "Padam": Rule(
        1e-1,
        {
            "optim": ours("Padam", partial=0.125, **USUAL),
            "pytorch_optimizer": peer("PAdam", partial=0.125, **USUAL),
        },
        {"pytorch_optimizer": "has no maximum of v, which Padam's algorithm has"},
    ),
    "Lion": Rule(
        1e-3,
        {
            "formula": of_formula(lion),
            "pytorch_optimizer": peer("Lion", betas=(0.9, 0.99)),
            "timm": timm("Lion", betas=(0.9, 0.99)),
            "optax": of_optax(lambda o, lr, decay: o.lion(lr, 0.9, 0.99, weight_decay=decay)),
        },
    ),
    "Adan": Rule(
        1e-3,
        {
            "formula": of_formula(adan),
            "pytorch_optimizer": peer("Adan", betas=(0.98, 0.92, 0.99), eps=EPS),
            "timm": timm("Adan", betas=(0.98, 0.92, 0.99), eps=EPS),
            "optax": of_optax(
                lambda o, lr, decay: o.adan(lr, 0.98, 0.92, 0.99, EPS, 0.0, weight_decay=decay)
            ),
        },
        {"optax": "weighs the difference of gradients by 0.08, where the paper has 0.92"},
    ),
}
