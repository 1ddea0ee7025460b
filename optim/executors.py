"""Three ways to run one update rule over many parameters.

The operands of a parameter are `[parameter, gradient, *state]` (see `optim/operands.py`). All that
are run in one call share a device, the dtypes of each of the three and the step's numbers.

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

Operands = Sequence[Tensor]

# Elements that a CPU works on at a time: measured, flat between 128k and 192k, slower at 64k.
BATCH = 192 * 1024


class Rule(NamedTuple):
    """The arithmetic of a step without its numbers.

    Attributes:
        update: an optimizer's own text, `update(hyper, p, g, **state)`.
        state: names of the state tensors.
        numbers: names in `hyper` of the numbers that may differ from step to step.
        options: names in `hyper` and values of what decides which lines are run; hashable.
    """

    update: Callable[..., None]
    state: tuple[str, ...]
    numbers: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]


def build(rule: Rule) -> Callable[..., None]:
    """`step(numbers, p, g, *state)`: what all rules share around what is a rule's own.

    It changes p and state in place, never g, and runs on Tensors as on TensorLists.
    """
    with_numbers = hyper_of(rule)

    def step(numbers: Iterable[Any], p: Any, g: Any, *state: Any) -> None:
        hyper = with_numbers(numbers)
        theta, g = prepared(hyper, p, g)
        if hyper.decay == "before":
            theta.mul_(hyper.decay_factor)
        rule.update(hyper, theta, g, **dict(zip(rule.state, state, strict=True)))
        if hyper.decay == "after":
            theta.mul_(hyper.decay_factor)
        if hyper.widen:
            p.copy_(theta)

    return step


built = cache(build)


@cache
def hyper_of(rule: Rule) -> Callable[[Iterable[Any]], Any]:
    """What makes a rule's `hyper` of a step's numbers: they and the options, by name."""
    names = [name for name, _ in rule.options]
    values = [value for _, value in rule.options]
    hyper = namedtuple("hyper", [*rule.numbers, *names])
    return lambda numbers: hyper(*numbers, *values)


def prepared(hyper: Any, p: Any, g: Any) -> tuple[Any, Any]:
    """The parameter in the dtype of its state, and the gradient that the rule is to see."""
    if hyper.widen:
        p = p.to(hyper.wide)
    if hyper.cast:
        g = g.to(hyper.wide)
    if hyper.maximize:
        g = g.neg()
    if hyper.decay == "l2":
        g = p.mul(hyper.weight_decay).add_(g)
    return p, g


def run_each(rule: Rule, numbers: Sequence[float], work: Iterable[Operands]) -> None:
    step = built(rule)
    for operands in work:
        step(numbers, *operands)


def run_batched(rule: Rule, numbers: Sequence[float], work: Sequence[Operands]) -> None:
    step = built(rule)
    for batch in batches(work, BATCH) if work[0][0].device.type == "cpu" else [work]:
        if len(batch) == 1:
            step(numbers, *batch[0])
        else:
            step(numbers, *map(TensorList, zip(*batch, strict=True)))


def batches(work: Iterable[Operands], size: int) -> Iterator[list[Operands]]:
    """The work, with large tensors in chunks, in lists of about `size` elements."""
    batch: list[Operands] = []
    filled = 0
    for chunk in (chunk for operands in work for chunk in chunks(operands, size)):
        numel = chunk[0].numel()
        if batch and filled + numel > size:
            yield batch
            batch, filled = [], 0
        batch.append(chunk)
        filled += numel
    if batch:
        yield batch


def chunks(operands: Operands, size: int) -> Iterable[Operands]:
    """Views of at most `size` elements, or a little more where they cannot be cut so small."""
    numel = operands[0].numel()
    if numel <= size:
        return [operands]
    if all(tensor.is_contiguous() for tensor in operands):
        return zip(*(tensor.view(-1).split(size) for tensor in operands), strict=True)
    slices = max(1, size * operands[0].shape[0] // numel)
    return zip(*(tensor.split(slices) for tensor in operands), strict=True)
