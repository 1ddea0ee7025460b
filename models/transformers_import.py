"""The one place that imports transformers."""

import functools
from importlib.util import find_spec
from types import ModuleType

from models.torchvision_import import torchvision


@functools.lru_cache
def transformers() -> ModuleType:
    """The module transformers, which imports torchvision wherever that is installed."""
    if find_spec("torchvision"):
        torchvision()  # first, so that it works beside a PyTorch for CPUs
    import transformers

    return transformers
