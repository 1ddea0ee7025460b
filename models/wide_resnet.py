"""Wide residual networks."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.initialisation import kaiming_convolutions


class WideResNet(nn.Sequential):
    """WRN-depth-widen of Zagoruyko & Komodakis (2016), table 1, with blocks of two convolutions.

    Batch norm and ReLU come before each convolution. There is no dropout between them, which the
    paper tries and Padam does not name. WRN-16-4 has 2,748,890 parameters for 10 classes.
    Convolutions start from N(0, 2 / fan-out).

    Args:
        depth: number of convolutions, 6n + 4, those of the shortcuts counted as one.
        widen: how many times as wide as the network of He et al. (2016) for CIFAR.
        classes: number of logits.

    Raises:
        ValueError: another depth.
    """

    def __init__(self, depth: int, widen: int, classes: int):
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"depth={depth}: must be 6n + 4, such as 16")
        layers: list[nn.Module] = [convolution(3, 16)]
        channels = 16
        for width, stride in ((16 * widen, 1), (32 * widen, 2), (64 * widen, 2)):
            layers.append(PreActivation(channels, width, stride))
            layers += [PreActivation(width, width, 1) for _ in range(depth // 6 - 1)]
            channels = width
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
        super().__init__(*layers)
        kaiming_convolutions(self)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, 3, height, width) → (batch, classes), the logits."""
        return super().forward(input)


class PreActivation(nn.Module):
    """x + conv(act(conv(act(x)))), where act is batch norm and ReLU.

    Where the shape changes, the shortcut is a 1×1 convolution of act(x).
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.first = convolution(inputs, outputs, stride)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.second = convolution(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        activated = F.relu(self.first_norm(input))
        residual = self.second(F.relu(self.second_norm(self.first(activated))))
        return residual + (input if self.shortcut is None else self.shortcut(activated))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
