"""The contenders: every optimizer of `optim` in each executor, torch's Adam, and peers."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Adam, Optimizer

import optim

MakeOptimizer = Callable[[Sequence[Parameter]], Optimizer]

# Settings of a class that are measured; of a class that is not here, its defaults.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "LpAdam": {"p=2": {}, "p=3": {"p": 3.0}, "p=6": {"p": 6.0}},
    "LpAdaGrad": {"p=3": {"p": 3.0}},
    "LaProp": {"": {}, "centered amsgrad": {"centered": True, "amsgrad": True}},
    "Padam": {"": {"weight_decay": 0.0}},
}


def rules() -> dict[str, tuple[type[Optimizer], dict[str, Any]]]:
    """Every optimizer that `optim` exports, so that a new one takes part by itself."""
    classes = {name: getattr(optim, name) for name in optim.__all__}
    return {
        f"{name} {variant}".strip(): (optimizer_class, settings)
        for name, optimizer_class in classes.items()
        if issubclass(optimizer_class, Optimizer)
        for variant, settings in VARIANTS.get(name, {"": {}}).items()
    }


RULES = rules()
EXECUTORS: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {},
    "compile": {"compile": True},
}
YARDSTICKS: dict[str, MakeOptimizer] = {
    "F": lambda parameters: Adam(parameters, foreach=True),
    "U": lambda parameters: Adam(parameters, fused=True),
}

PACKAGES = ("pytorch_optimizer", "timm")

# Peers compile one program for a whole list of tensors: half a minute for 62, many minutes for 400.
MOST_COMPILED = 100


def ours(rule: str) -> dict[str, MakeOptimizer]:
    """The rule in each executor."""
    make, settings = RULES[rule]

    def with_executor(executor: dict[str, Any]) -> MakeOptimizer:
        return lambda parameters: make(parameters, **settings, **executor)

    return {f"optim, {name}": with_executor(executor) for name, executor in EXECUTORS.items()}


def peers(rule: str, compiled: bool) -> dict[str, MakeOptimizer]:
    """The same rule in other packages, as far as they are installed; compiled, too, if asked."""
    compiles = rule == "LaProp" and compiled
    makers: dict[str, MakeOptimizer] = {}
    if installed("pytorch_optimizer"):
        package = import_module("pytorch_optimizer")
        name = {"Padam": "PAdam"}.get(rule, rule)
        if hasattr(package, name):
            makers["pytorch_optimizer"] = getattr(package, name)
        if compiles:
            makers["pytorch_optimizer, compile"] = pytorch_optimizer_compiled
    if installed("timm"):
        if rule == "LaProp":
            makers["timm"] = timm_optimizer("LaProp")
        if compiles:
            makers["timm, compile"] = timm_compiled
        if rule == "AdaBelief":
            makers["timm"] = timm_optimizer("AdaBelief", rectify=False)
    return makers


def pytorch_optimizer_compiled(parameters: Sequence[Parameter]) -> Optimizer:
    module = torch.nn.ParameterList(parameters)
    return import_module("pytorch_optimizer").create_optimizer(module, "laprop", compile=True)


def timm_optimizer(name: str, **settings: Any) -> MakeOptimizer:
    from models.torchvision_import import torchvision

    torchvision()
    make = getattr(import_module("timm.optim"), name)
    return lambda parameters: make(parameters, **settings)


def timm_compiled(parameters: Sequence[Parameter]) -> Optimizer:
    # With a number for lr, and numbers made of it in the state, every step would compile again.
    optimizer = timm_optimizer("LaProp", lr=torch.tensor(4e-4))(parameters)
    optimizer.step = torch.compile(optimizer.step)  # type: ignore[method-assign]
    return optimizer


def installed(package: str) -> bool:
    return find_spec(package) is not None
