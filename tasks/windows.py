"""Which words a step of truncated backpropagation reads: all of one number, or of random ones."""

from bisect import bisect_right
from itertools import accumulate

import torch

from tasks.seeds import derive

# Of Merity, Keskar & Socher (2018), section 4.1 and their code: the chance of half the length, the
# standard deviation in words, and the fewest words.
HALVED = 0.05
SPREAD = 5.0
FEWEST = 5


class FixedWindows:
    """Every step reads `length` words; an epoch ends where the next whole step would not fit.

    Args:
        words: that an epoch can read, of each stream.
        length: words of a step.

    Attributes:
        steps_per_epoch: 0 where not even one step fits.
    """

    def __init__(self, words: int, length: int):
        self.length = length
        self.steps_per_epoch = words // length

    def at(self, step: int) -> tuple[int, int]:
        """The first word of step number `step` (from 0), and how many words it reads."""
        return step % self.steps_per_epoch * self.length, self.length

    def ends(self, step: int) -> bool:
        """Whether an epoch ends with this step."""
        return (step + 1) % self.steps_per_epoch == 0


class RandomWindows:
    """Each step reads about `length` words, one in twenty about half as many.

    Merity, Keskar & Socher (2018), section 4.1: the number is normal around these, with a standard
    deviation of 5 and at least 5. Gradients then do not always stop at the same words. That it is
    rounded is ours; their rate is in proportion to the number, and ours is not.

    Args:
        words: that an epoch can read, of each stream.
        length: words of a usual step.
        seed: each epoch has lengths of its own, and each seed.

    Attributes:
        steps_per_epoch: so many on average; how many an epoch has differs by a few.
    """

    def __init__(self, words: int, length: int, seed: int):
        self.words, self.length, self.seed = words, length, seed
        self.steps_per_epoch = int(words / (length * (1 - HALVED / 2)))
        self._firsts = [0]  # the first step of each epoch so far, and of the next one
        self._starts: list[list[int]] = []  # of each epoch's steps, and where the last one ends

    def at(self, step: int) -> tuple[int, int]:
        """The first word of step number `step` (from 0), and how many words it reads."""
        epoch = self._epoch(step)
        starts, index = self._starts[epoch], step - self._firsts[epoch]
        return starts[index], starts[index + 1] - starts[index]

    def ends(self, step: int) -> bool:
        """Whether an epoch ends with this step."""
        return step + 1 == self._firsts[self._epoch(step) + 1]

    def _epoch(self, step: int) -> int:
        while self._firsts[-1] <= step:
            starts = self._draw(len(self._starts))
            self._starts.append(starts)
            self._firsts.append(self._firsts[-1] + len(starts) - 1)
        return bisect_right(self._firsts, step) - 1

    def _draw(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(derive(self.seed, "sequence lengths", epoch))
        count = self.words // FEWEST + 1
        usual = torch.where(torch.rand(count, generator=generator) < HALVED, 0.5, 1.0) * self.length
        drawn = usual + SPREAD * torch.randn(count, generator=generator)
        lengths = drawn.round().int().clamp(FEWEST, max(self.words, FEWEST)).tolist()
        starts = list(accumulate(lengths, initial=0))
        return starts[: max(bisect_right(starts, self.words), 2)]
