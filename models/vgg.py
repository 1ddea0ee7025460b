"""VGG-16 for images of 32×32 pixels."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from models.initialisation import kaiming_convolutions

# Channels of the 3×3 convolutions between the poolings, as multiples of the first stage's: Simonyan
# & Zisserman (2015), table 1, D.
STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class VGG16(nn.Sequential):
    """Thirteen 3×3 convolutions in five stages, each of which halves the image, and a classifier.

    For 10 classes it has 14,728,266 parameters with batch norm and no hidden layers, the form that
    is usual for CIFAR, and 33,638,218 without batch norm and with the two hidden layers of 4,096
    units of Simonyan & Zisserman (2015), table 1, column D.

    The first weights are PyTorch's. Without batch norm these would let the signal vanish over so
    many convolutions, which then start from N(0, 2 / fan-out) instead.

    Args:
        classes: number of logits.
        batch_norm: normalise behind every convolution.
        hidden: units of the fully connected layers before the logits.
        dropout: probability of a zero behind each of these layers.
        base: channels of the first stage; 64 in table 1.
    """

    def __init__(
        self,
        classes: int,
        batch_norm: bool,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        base: int = 64,
    ):
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for multiple in stage:
                layers += convolution(channels, multiple * base, batch_norm)
                channels = multiple * base
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.Flatten())
        widths = [channels, *hidden]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        super().__init__(*layers, nn.Linear(widths[-1], classes))
        if not batch_norm:
            kaiming_convolutions(self)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, 3, 32, 32) → (batch, classes), the logits."""
        return super().forward(input)


def convolution(inputs: int, outputs: int, batch_norm: bool) -> list[nn.Module]:
    # Batch norm cancels the biases, but the 14,728,266 parameters count them.
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    return [*layers, nn.ReLU(inplace=True)]
