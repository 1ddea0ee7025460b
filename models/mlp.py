"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Sequential):
    """Fully connected layers with ReLU between them.

    Widths (784, 1000, 1000, 10) are the network "FC-2" of Daley & Amato (section 4.1), with
    1,796,010 parameters. The initial weights are torch's defaults: the paper names none.

    Args:
        widths: number of units of the input and of each layer after it, at least two numbers.
    """

    def __init__(self, widths: Sequence[int]):
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])

    def forward(self, input: Tensor) -> Tensor:
        """(batch, widths[0]) → (batch, widths[-1]), the logits."""
        return super().forward(input)
