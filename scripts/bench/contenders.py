"""Who takes part: every optimizer of `optim` in every way to run it, torch's Adam, and peers."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Adam, Optimizer

import optim

Begin = Callable[[Sequence[Parameter]], Optimizer]

# What is measured of a class beside, or in place of, its defaults.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "LpAdam": {"p=2": {}, "p=3": {"p": 3.0}, "p=6": {"p": 6.0}},
    "LpAdaGrad": {"p=3": {"p": 3.0}},
    "LaProp": {"": {}, "centered amsgrad": {"centered": True, "amsgrad": True}},
    "Padam": {"": {"weight_decay": 0.0}},
}


def rules() -> dict[str, tuple[type[Optimizer], dict[str, Any]]]:
    """Every optimizer that `optim` offers, so that a new one takes part by itself."""
    classes = {name: getattr(optim, name) for name in optim.__all__}
    return {
        f"{name} {variant}".strip(): (made, settings)
        for name, made in classes.items()
        if issubclass(made, Optimizer)
        for variant, settings in VARIANTS.get(name, {"": {}}).items()
    }


RULES = rules()
EXECUTORS: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {},
    "compile": {"compile": True},
}
YARDSTICKS: dict[str, Begin] = {
    "F": lambda parameters: Adam(parameters, foreach=True),
    "U": lambda parameters: Adam(parameters, fused=True),
}

PACKAGES = ("pytorch_optimizer", "timm")

# Peers compile one program for a whole list of tensors: half a minute for 62, many minutes for 400.
MOST_COMPILED = 100


def ours(rule: str) -> dict[str, Begin]:
    """The rule in each way to run it."""
    make, settings = RULES[rule]

    def begin(way: dict[str, Any]) -> Begin:
        return lambda parameters: make(parameters, **settings, **way)

    return {f"optim, {name}": begin(way) for name, way in EXECUTORS.items()}


def peers(rule: str, compiled: bool) -> dict[str, Begin]:
    """The same rule in other packages, as far as they are installed; compiled, too, if asked."""
    compiles = rule == "LaProp" and compiled
    found: dict[str, Begin] = {}
    if installed("pytorch_optimizer"):
        package = import_module("pytorch_optimizer")
        name = {"Padam": "PAdam"}.get(rule, rule)
        if hasattr(package, name):
            found["pytorch_optimizer"] = getattr(package, name)
        if compiles:
            found["pytorch_optimizer, compile"] = compiled_pytorch_optimizer
    if installed("timm"):
        if rule == "LaProp":
            found["timm"] = timm("LaProp")
        if compiles:
            found["timm, compile"] = compiled_timm
        if rule == "AdaBelief":
            found["timm"] = timm("AdaBelief", rectify=False)
    return found


def compiled_pytorch_optimizer(parameters: Sequence[Parameter]) -> Optimizer:
    module = torch.nn.ParameterList(parameters)
    return import_module("pytorch_optimizer").create_optimizer(module, "laprop", compile=True)


def timm(name: str, **settings: Any) -> Begin:
    from models.torchvision_import import torchvision

    torchvision()
    make = getattr(import_module("timm.optim"), name)
    return lambda parameters: make(parameters, **settings)


def compiled_timm(parameters: Sequence[Parameter]) -> Optimizer:
    # With a number for lr, and numbers made of it in the state, every step would compile anew.
    optimizer = timm("LaProp", lr=torch.tensor(4e-4))(parameters)
    optimizer.step = torch.compile(optimizer.step)  # type: ignore[method-assign]
    return optimizer


def installed(package: str) -> bool:
    return find_spec(package) is not None
