"""Three ways to run one update rule over many parameters.

A row is `[parameter, gradient, *state]` of one parameter (see `optim/rows.py`). All rows of a call
share a device, the dtypes of each of the three and the step's numbers.

`run_each` takes parameter by parameter and is the reference. `run_batched` takes many tensors at a
time: on a CPU only as many as fit in its cache, since a rule walks over its operands once for each
line of its text; elsewhere all, since there the number of kernel launches counts. The third way,
`optim.compiled.run_compiled`, makes one loop of the whole text.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor

from optim.tensor_list import TensorList

Row = Sequence[Tensor]

# Elements that a CPU works on at a time: measured, flat between 128k and 192k, slower at 64k.
BATCH = 192 * 1024


class Rule(NamedTuple):
    """The arithmetic of a step without its numbers.

    Attributes:
        update: an optimizer's own text, `update(h, p, g, **state)`.
        state: names of the state tensors.
        numbers: names in `h` of the numbers that may differ from step to step.
        options: names in `h` and values of what decides which lines are run; hashable.
    """

    update: Callable[..., None]
    state: tuple[str, ...]
    numbers: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]


def build(rule: Rule) -> Callable[..., None]:
    """`step(numbers, p, g, *state)`: what all rules share around what is a rule's own.

    It changes p and state in place, never g, and runs on Tensors as on TensorLists.
    """
    names = [name for name, _ in rule.options]
    chosen = [value for _, value in rule.options]
    scalars = namedtuple("h", [*rule.numbers, *names])

    def step(numbers: Iterable[Any], p: Any, g: Any, *state: Any) -> None:
        h: Any = scalars(*numbers, *chosen)
        low = p
        if h.widen:
            p = p.to(h.wide)
        if h.cast:
            g = g.to(h.wide)
        if h.maximize:
            g = g.neg()
        if h.decay == "l2":
            g = p.mul(h.weight_decay).add_(g)
        if h.decay == "before":
            p.mul_(h.keep)
        rule.update(h, p, g, **dict(zip(rule.state, state, strict=True)))
        if h.decay == "after":
            p.mul_(h.keep)
        if h.widen:
            low.copy_(p)

    return step


built = cache(build)


def run_each(rule: Rule, numbers: Sequence[float], rows: Iterable[Row]) -> None:
    step = built(rule)
    for row in rows:
        step(numbers, *row)


def run_batched(rule: Rule, numbers: Sequence[float], rows: Sequence[Row]) -> None:
    step = built(rule)
    for batch in batches(rows) if rows[0][0].device.type == "cpu" else [rows]:
        if len(batch) == 1:
            step(numbers, *batch[0])
        else:
            step(numbers, *map(TensorList, zip(*batch, strict=True)))


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows, the large ones in pieces, in lists of about BATCH elements."""
    batch: list[Row] = []
    filled = 0
    for row in rows:
        for piece in pieces(row):
            size = piece[0].numel()
            if batch and filled + size > BATCH:
                yield batch
                batch, filled = [], 0
            batch.append(piece)
            filled += size
    if batch:
        yield batch


def pieces(row: Row) -> Iterable[Row]:
    """Views of at most BATCH elements, or a little more where they cannot be cut so small."""
    size = row[0].numel()
    if size <= BATCH:
        return [row]
    if all(tensor.is_contiguous() for tensor in row):
        return zip(*(tensor.view(-1).split(BATCH) for tensor in row), strict=True)
    slices = max(1, BATCH * row[0].shape[0] // size)
    return zip(*(tensor.split(slices) for tensor in row), strict=True)
