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

    Raises:
        ValueError: fewer than two widths.
    """

    def __init__(self, widths: Sequence[int]):
        if len(widths) < 2:
            raise ValueError(
                f"widths={list(widths)}: must be two numbers or more, input and output"
            )
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])

    def forward(self, input: Tensor) -> Tensor:
        """(batch, widths[0]) → (batch, widths[-1]), the logits."""
        return super().forward(input)
