"""Batches of as many sentences as fit into a number of words, of similar lengths."""

import torch
from torch import Tensor

from tasks.seeds import derive

# Sentences of a larger batch are a multiple of these, which suits GPUs; fairseq's choice.
MULTIPLE = 8


class TokenBatches:
    """Which sentences are trained on together.

    Sentences are sorted by the length of the source, then of the target, and cut so that a batch
    has at most `max_tokens` words: its sentences times the longest of them on either side, as
    fairseq counts. The lengths in the batches are the same in every epoch; which of equally long
    sentences come together, and the order of the batches, are drawn anew.

    Args:
        source: words of each sentence, (sentences,), on the CPU.
        target: of their translations.
        max_tokens: of a batch, padding included.

    Raises:
        ValueError: a sentence is longer than a batch may be.
    """

    def __init__(self, source: Tensor, target: Tensor, max_tokens: int):
        longest = int(torch.maximum(source, target).max())
        if longest > max_tokens:
            raise ValueError(
                f"task.max_tokens={max_tokens}: must be at least {longest}, the words of the "
                "longest sentence"
            )
        self.key = source * (int(target.max()) + 1) + target
        order = self.key.argsort(stable=True)
        self.sizes = cut(torch.maximum(source, target)[order].tolist(), max_tokens)

    def __len__(self) -> int:
        return len(self.sizes)

    def sorted(self) -> list[Tensor]:
        """The sentences of each batch, the shortest first, on the CPU."""
        return list(self.key.argsort(stable=True).split(self.sizes))

    def epoch(self, seed: int, epoch: int) -> list[Tensor]:
        """The sentences of each batch in the order of an epoch, on the CPU."""
        draw = torch.Generator().manual_seed(derive(seed, "data order", epoch))
        shuffled = torch.randperm(len(self.key), generator=draw)
        batches = shuffled[self.key[shuffled].argsort(stable=True)].split(self.sizes)
        return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]


def cut(lengths: list[int], max_tokens: int) -> list[int]:
    """How many sentences are in each batch, of sentences in this order."""
    sizes, first, longest = [], 0, 0
    for last, length in enumerate(lengths):
        longest = max(longest, length)
        while (last - first + 1) * longest > max_tokens:
            count = last - first
            count = count // MULTIPLE * MULTIPLE or count
            sizes.append(count)
            first += count
            longest = max(lengths[first : last + 1])
    return [*sizes, len(lengths) - first]
