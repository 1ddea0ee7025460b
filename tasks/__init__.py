"""A task is data, a model, an objective and metrics. Imports models.

A task's module is imported when somebody asks for the task: each needs libraries of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.atari import AtariDqn, AtariRainbow
    from tasks.cifar import Cifar
    from tasks.classification import Classification
    from tasks.dqn import Dqn
    from tasks.glue import Glue
    from tasks.gpt import Gpt
    from tasks.gradients import PrescribedGradients
    from tasks.imagenet import ImageNet
    from tasks.imdb import Imdb
    from tasks.mnist import Mnist
    from tasks.nonconvex import Nonconvex
    from tasks.online_convex import OnlineConvex
    from tasks.ptb import Ptb
    from tasks.roberta_pretrain import RobertaPretrain
    from tasks.style_transfer import StyleTransfer
    from tasks.task import Task
    from tasks.translation import Translation
    from tasks.trials import ConvexExample, Quadratic, Rosenbrock

__all__ = [
    "AtariDqn",
    "AtariRainbow",
    "Cifar",
    "Classification",
    "ConvexExample",
    "Dqn",
    "Glue",
    "Gpt",
    "ImageNet",
    "Imdb",
    "Mnist",
    "Nonconvex",
    "OnlineConvex",
    "PrescribedGradients",
    "Ptb",
    "Quadratic",
    "RobertaPretrain",
    "Rosenbrock",
    "StyleTransfer",
    "Task",
    "Translation",
]

# Modules that are not called as the one class in them is, in lower case.
MODULES = {
    "AtariDqn": "atari",
    "AtariRainbow": "atari",
    "ConvexExample": "trials",
    "OnlineConvex": "online_convex",
    "PrescribedGradients": "gradients",
    "Quadratic": "trials",
    "RobertaPretrain": "roberta_pretrain",
    "Rosenbrock": "trials",
    "StyleTransfer": "style_transfer",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tasks.{MODULES.get(name, name.lower())}"), name)
