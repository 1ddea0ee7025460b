"""What VGG's first convolutions see in an image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Channels of the convolutions between the poolings. So far VGG-16 and VGG-19 are the same: Simonyan
# & Zisserman (2015), table 1, D and E.
STAGES = ((64, 64), (128, 128), (256,))


class VGGFeatures(nn.Sequential):
    """The first five 3×3 convolutions of VGG-16 and VGG-19, with the poolings between them.

    Its layers have the numbers that they have in torchvision's `features`. Its weights are never
    trained; the first ones are PyTorch's.

    Args:
        mean: of red, green and blue in [0, 1], subtracted.
        std: what they are then divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        super().__init__(*layers[:-2])  # up to the last convolution
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, input: Tensor) -> list[Tensor]:
        """(batch, 3, height, width) in [0, 1] → what each convolution gives, before its ReLU.

        They are (batch, channels, height, width), with 64, 64, 128, 128 and 256 channels, and each
        pooling halves height and width.
        """
        maps = []
        map_ = (input - self.mean) / self.std
        for layer in self:
            map_ = layer(map_)
            if isinstance(layer, nn.Conv2d):
                maps.append(map_)
        return maps
