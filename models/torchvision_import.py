"""The one place that imports torchvision."""

import functools
from types import ModuleType

import torch


@functools.lru_cache
def torchvision() -> ModuleType:
    """The module torchvision, also beside a PyTorch that was built without CUDA.

    The package index has torchvision for PyTorch with CUDA only. Beside a CPU build its compiled
    operators do not load, and its import fails when it attaches a rule to two of them. Declaring
    the two first lets it (and all that imports it) work, but for these operators themselves.
    """
    if torch.version.cuda is None:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _keep_alive.append(library)
    import torchvision

    return torchvision


# A library object that is collected takes its declarations with it.
_keep_alive: list[torch.library.Library] = []
