"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Sequential):
    """Fully connected layers with ReLU between them.

    Widths (784, 1000, 1000, 10) are the network "FC-2" of Daley & Amato (section 4.1), with
    1,796,010 parameters. Widths (784, 256, 10), a depth of hundreds and Kaiming weights are the
    deep networks of Ziyin et al. (LaProp, appendix C.4).

    Args:
        widths: number of units of the input and of each layer after it, at least two numbers.
        depth: how many layers there are of each hidden width.
        kaiming: draw weights from N(0, 2 / fan-in), with zero biases, by which a signal keeps its
            scale through layers with ReLU (He et al., 2015, equation 10). Otherwise, the first
            weights are PyTorch's: Daley & Amato name none.

    Raises:
        ValueError: fewer than two widths, or a depth below 1.
    """

    def __init__(self, widths: Sequence[int], depth: int = 1, kaiming: bool = False):
        if len(widths) < 2:
            raise ValueError(
                f"widths={list(widths)}: must be two numbers or more, input and output"
            )
        if depth < 1:
            raise ValueError(f"depth={depth}: must be 1 or more")
        hidden = [width for width in widths[1:-1] for _ in range(depth)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([widths[0], *hidden, widths[-1]]):
            layers += [linear(inputs, outputs, kaiming), nn.ReLU()]
        super().__init__(*layers[:-1])

    def forward(self, input: Tensor) -> Tensor:
        """(batch, widths[0]) → (batch, widths[-1]), the logits."""
        return super().forward(input)


def linear(inputs: int, outputs: int, kaiming: bool) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    if kaiming:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    return layer
