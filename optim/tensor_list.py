"""Many tensors that one line of arithmetic works on."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class TensorList:
    """Tensors whose methods are those of `Tensor`, run by `torch._foreach_*` on all at once.

    `x.addcmul_(a, b, value=2.0)` calls `torch._foreach_addcmul_` with the three lists of tensors.
    A method that ends in an underscore changes the tensors and returns the list, as with a Tensor.
    Only elementwise methods that exist in both worlds under one name can be used, so that an update
    rule is written once and runs on either.
    """

    def __init__(self, tensors: Iterable[Tensor]):
        self.tensors = list(tensors)

    def __getattr__(self, name: str) -> Callable[..., "TensorList"]:
        function = getattr(torch, f"_foreach_{name}")

        def method(*args: Any, **kwargs: Any) -> TensorList:
            result = function(self.tensors, *map(_unwrapped, args), **kwargs)
            return self if name.endswith("_") else TensorList(result)

        return method

    def clamp_(self, low: Any, high: Any) -> "TensorList":
        """Clip into [low, high]."""
        return self.clamp_min_(low).clamp_max_(high)

    def to(self, dtype: torch.dtype) -> "TensorList":
        """The same values in another dtype."""
        return TensorList(tensor.to(dtype) for tensor in self.tensors)


def _unwrapped(value: Any) -> Any:
    return value.tensors if isinstance(value, TensorList) else value
