"""A shorter start-up: PyTorch's compiler is imported only when it is used."""

import importlib
import sys
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"


def defer_compiler() -> None:
    """Do not import `torch._dynamo` until something of it is really used.

    torch's optimizers import the compiler when they are made and in every step, only to mark where
    a compiled program must pause, and that import takes about as long as PyTorch's own. Until the
    compiler is used, these marks mean nothing, so a stand-in provides them; any other attribute
    imports the real module. `python -X importtime -c "import torch, torch._dynamo"` shows the cost,
    `python -m scripts.bench loop` the start-up with this in place. It must not be called in other
    programs, which may use the compiler themselves.
    """
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = torch._dynamo = StandIn(COMPILER)


class StandIn(ModuleType):
    """`torch._dynamo` as far as an optimizer that is not compiled needs it."""

    @staticmethod
    def graph_break() -> None:
        pass

    @staticmethod
    def disable(function: Any, *_: Any, **__: Any) -> Any:
        return function

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # `inspect` asks all modules for it
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
            del torch._dynamo
        return getattr(importlib.import_module(COMPILER), name)
