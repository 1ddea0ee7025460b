"""From parameters to operands: plain tensors, which is all that an executor has to know.

They share their memory with the parameter and its state. Of a `DTensor` (FSDP2, tensor parallelism)
they are the shards of this process: rules work on each element by itself, so that every process
updates what it has without asking the others.
"""

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from optim.executors import Operands

# Only of exactly these types is it known that views share memory and that a pointer leads to it.
PLAIN = {Tensor, Parameter}
DTENSOR = ("torch.distributed.tensor", "DTensor")
ASYNC = ("torch.distributed._functional_collectives", "AsyncCollectiveTensor")
REMEDY = "`load_state_dict(state_dict())` brings it along"


class Misfit(RuntimeError):
    """What does not go together, in words that follow the optimizer's name."""


def operands_of(p: Tensor, state: dict[str, Any], names: Sequence[str]) -> Operands:
    """`[p, gradient, *state]`, in real numbers: pairs of them where p is complex.

    The gradient may be of another dtype than p. Where it has other placements than a DTensor p, it
    is brought to those of p first, in which all processes take part.

    Raises:
        Misfit: of gradient or state with the parameter.
    """
    try:
        operands = [p, gradient_of(p), *[state[name] for name in names]]
    except KeyError as name:
        raise Misfit(f"has no state {name}: options of the group were changed") from None
    if not is_plain(operands):
        operands = local(operands)
    if operands[0].dtype.is_complex:
        operands = [real(tensor) for tensor in operands]
    check_alike(operands)
    return operands


def gradient_of(p: Tensor) -> Tensor:
    g: Any = p.grad
    if g.layout is not torch.strided:
        kind = "sparse" if g.is_sparse else str(g.layout).removeprefix("torch.")
        raise Misfit(f"does not support {kind} gradients")
    if g.dtype.is_complex and not p.dtype.is_complex:
        raise Misfit("does not support a complex gradient of a real parameter")
    if not p.dtype.is_complex:
        return g
    # One that is only conjugated when it is read has no memory to see as real numbers.
    return g.resolve_conj() if g.dtype.is_complex else g.to(p.dtype)


def check_alike(operands: Operands) -> None:
    """Raise Misfit where `p.data` was exchanged after the gradient or the state was made.

    A compiled kernel would not notice, and leave the memory of a tensor.
    """
    p, g, *state = operands
    shape, device, dtype = p.shape, p.device, wide(p.dtype)
    if g.shape != shape or g.device != device:
        raise Misfit("does not support a gradient of another shape or device than the parameter's")
    for tensor in state:
        if tensor.shape != shape or tensor.dtype is not dtype or tensor.device != device:
            raise Misfit(
                "keeps state of another shape, device or dtype than its parameter calls for; "
                f"where the shape is the same, {REMEDY}"
            )


@cache
def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a parameter's state, in which it is updated."""
    if dtype.itemsize == 1 or not (dtype.is_floating_point or dtype.is_complex):
        raise Misfit(f"does not support parameters of {dtype}")
    return torch.promote_types(dtype, torch.float32)


def is_plain(operands: Operands) -> bool:
    """Whether they can be cut into views, and a kernel can work on their memory."""
    return PLAIN.issuperset(map(type, operands))


# -- tensors that are more than their memory -------------------------------------------------------


def local(operands: Operands) -> Operands:
    """What this process holds; tensors of a type that this module does not know, as they are."""
    if any(map(is_dtensor, operands)):
        operands = [tensor.to_local() for tensor in sharded_alike(*operands)]
    return [memory_of(tensor) for tensor in operands]


def sharded_alike(p: Any, g: Any, *state: Any) -> list[Any]:
    if not all(map(is_dtensor, (p, g, *state))):
        raise Misfit("does not support a DTensor together with a gradient or state that is none")
    if any(placement.is_partial() for placement in p.placements):
        raise Misfit("does not support a parameter in summands, one for each process (Partial)")
    if any(tensor.device_mesh != p.device_mesh for tensor in (g, *state)):
        raise Misfit("does not support a gradient or state on another device mesh")
    if any(tensor.placements != p.placements for tensor in state):
        raise Misfit(f"keeps state that is not placed as its parameter is; {REMEDY}")
    if g.placements != p.placements:
        g = g.redistribute(placements=p.placements)
    return [p, g, *state]


def memory_of(tensor: Any) -> Tensor:
    if is_a(ASYNC, tensor):
        tensor = tensor.wait()
    kind: Any = type(tensor)
    plain: Any = Tensor
    if kind.__torch_dispatch__ is not plain.__torch_dispatch__:
        return tensor
    # A class that only adds names or methods has a memory like any other.
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


def real(tensor: Tensor) -> Tensor:
    """The same memory in real numbers: pairs of them where the tensor is complex."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def whole(tensor: Any) -> Tensor:
    """All of a DTensor, in which all processes take part; `item` and `bool` look at one part."""
    return tensor.full_tensor() if is_dtensor(tensor) else tensor


def is_dtensor(tensor: Tensor) -> bool:
    return is_a(DTENSOR, tensor)


def is_a(kind: tuple[str, str], tensor: Tensor) -> bool:
    """Whether it is of that type, without importing its module, which takes long."""
    module, name = kind
    return module in sys.modules and isinstance(tensor, getattr(sys.modules[module], name))
