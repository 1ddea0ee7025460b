"""The executor of `compile=True`: one loop over memory for the whole text of a rule.

`torch.compile` would make a program for every list of shapes that it meets, in seconds to minutes.
So it gets one-dimensional views whose length it may not assume, and all numbers of a step in one
tensor: one kernel serves every parameter and every step. Small parameters are copied together into
one such view and back, since a call costs as much as the work on some thousands of elements, or, on
a GPU, some tens of thousands.

Nothing here imports the compiler before a step with `compile=True` needs it.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from optim.executors import BATCH, Operands, Rule, batches, build, run_batched, run_each
from optim.operands import wide

# From how many elements on a parameter gets a call of its own, and how many are copied together:
# what fits in a CPU's cache; on a GPU enough that launches do not count, and little of its memory.
LARGE = {"cpu": 4 * 1024, "cuda": 64 * 1024}
PACKED = {"cpu": BATCH, "cuda": 4 * 1024 * 1024}
# A kernel for a GPU counts elements in 32 bits.
MOST = 1 << 30


def run_compiled(rule: Rule, numbers: Sequence[float], work: Sequence[Operands]) -> None:
    first = work[0]
    device = first[0].device
    kernel = compiled(rule, tuple(tensor.dtype for tensor in first), device)
    if kernel is None:
        run_batched(rule, numbers, work)
        return
    # State is never narrower than float32, nor are the numbers.
    dtype = wide(first[0].dtype)
    # From pinned memory, since a copy from other memory may wait for all that a GPU has to do.
    pinned = torch.tensor(numbers, dtype=dtype, pin_memory=device.type == "cuda")
    scalars = pinned.to(device, non_blocking=True)
    large, packed = (sizes.get(device.type, sizes["cuda"]) for sizes in (LARGE, PACKED))
    small = []
    for operands in work:
        if operands[0].numel() >= large and stands_as_read(operands):
            for views in parts(operands):
                kernel(scalars, *views)
        elif operands[0].is_neg():
            # What was packed could not be copied back in one call.
            run_each(rule, numbers, [operands])
        else:
            small.append(operands)
    for batch in batches(small, packed):
        if sum(operands[0].numel() for operands in batch) < 2:
            # A kernel of any length is still not one for a length of 1.
            run_each(rule, numbers, batch)
        else:
            run_packed(kernel, scalars, batch)


def parts(operands: Operands) -> Iterable[Operands]:
    """One-dimensional views of at most MOST elements, and of more than one, aligned as they are."""
    numel = operands[0].numel()
    size = MOST - 16 if numel % MOST == 1 else MOST
    return zip(*(tensor.view(-1).split(size) for tensor in operands), strict=True)


def stands_as_read(operands: Operands) -> bool:
    """Whether memory holds the numbers one after the other, and not their negatives."""
    p, g, *_ = operands
    return all(tensor.is_contiguous() for tensor in operands) and not (p.is_neg() or g.is_neg())


def run_packed(kernel: Callable[..., None], scalars: Tensor, work: Sequence[Operands]) -> None:
    columns = [list(column) for column in zip(*work, strict=True)]
    packed = [torch.cat([tensor.reshape(-1) for tensor in column]) for column in columns]
    kernel(scalars, *packed)
    sizes = [tensor.numel() for tensor in columns[0]]
    parameters, _, *state = zip(columns, packed, strict=True)
    for tensors, result in (parameters, *state):
        parts = zip(tensors, result.split(sizes), strict=True)
        torch._foreach_copy_(tensors, [part.view(tensor.shape) for tensor, part in parts])


@cache
def compiled(
    rule: Rule, dtypes: tuple[torch.dtype, ...], device: torch.device
) -> Callable[..., None] | None:
    """The rule's kernel, or None, after a warning, where there is no compiler for the device."""
    step = build(rule)

    def kernel(scalars: Tensor, *operands: Tensor) -> None:
        step(scalars.unbind(), *operands)

    # Dynamo keeps what it compiled with the code object, and gives up on one that has many forms.
    kernel.__code__ = kernel.__code__.replace()
    # A trial on operands that do not matter: a failure here leaves parameters as they were.
    dtype = wide(dtypes[0])
    scalars = torch.full((len(rule.numbers),), 0.5, dtype=dtype, device=device)
    operands = [torch.ones(BATCH, dtype=dtype, device=device) for dtype in dtypes]
    try:
        function: Any = torch.compile(
            kernel,
            dynamic=True,
            fullgraph=True,
            # What a call would check anew is seen to here: dtypes, device, sizes, plain tensors.
            options={"guard_filter_fn": lambda guards: [False] * len(guards)},
        )
        function(scalars, *operands)
    except (RuntimeError, ImportError) as error:
        warn_once(device.type, next(iter(str(error).splitlines()), type(error).__name__))
        return None
    return function


@cache
def warn_once(device: str, reason: str) -> None:
    warnings.warn(
        f"compile=True is run as foreach=True: nothing can be compiled for {device}: {reason}",
        stacklevel=2,
    )
