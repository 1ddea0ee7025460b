"""Sequences of different lengths, laid end to end on the device."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from tasks.transfer import to_device


@dataclass(frozen=True)
class Ragged:
    """Where each sequence lies in tensors that hold all elements of all sequences.

    Attributes:
        lengths: of the sequences, (sequences,), on the CPU.
        starts: where each begins, (sequences,), on the device.
    """

    lengths: Tensor
    starts: Tensor

    @classmethod
    def laid_out(cls, lengths: Tensor, device: torch.device, *elements: Tensor) -> Self:
        """These sequences and what a subclass keeps of their elements, on the device."""
        starts = lengths.cumsum(0) - lengths
        return cls(lengths, starts.to(device), *(flat.to(device) for flat in elements))

    def gather(self, chosen: Tensor, *flat: tuple[Tensor, int]) -> tuple[Tensor, ...]:
        """Some sequences, each filled up to the longest of them.

        Args:
            chosen: numbers of sequences, on the CPU.
            flat: tensors with all elements, (elements,), each with what fills up its sequences.

        Returns:
            Of each tensor these sequences (chosen, longest), and then their lengths (chosen,).
        """
        lengths, device = self.lengths[chosen], self.starts.device
        position = torch.arange(int(lengths.max()), device=device)
        lengths = to_device(lengths, device)
        index = self.starts[to_device(chosen, device)][:, None] + position
        inside = position < lengths[:, None]
        padded = (
            elements[index.clamp(max=len(elements) - 1)].where(inside, filling)
            for elements, filling in flat
        )
        return *padded, lengths
