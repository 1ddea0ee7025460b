"""A part of the training examples that is held out, to choose hyperparameters on."""

import functools

import torch
from torch import Tensor

from tasks.seeds import derive


def left_to_train(count: int, share: float | None) -> int:
    """How many of the training examples are left when a share of them is held out, at least one.

    Raises:
        ValueError: none.
    """
    if share is None:
        return count
    left = count - max(round(share * count), 1)
    if left < 1:
        raise ValueError(f"task.valid={share}: leaves none of {count} training examples")
    return left


@functools.lru_cache(maxsize=2)
def divided(count: int, share: float) -> tuple[Tensor, Tensor]:
    """Indices of the examples to train on, and of those held out, each rising.

    They are the same for every seed of a run, so that all are judged on the same examples.
    """
    draw = torch.Generator().manual_seed(derive(0, "held out"))
    order = torch.randperm(count, generator=draw)
    left = left_to_train(count, share)
    return order[:left].sort().values, order[left:].sort().values
