"""Residual networks for images of 32×32 pixels."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.initialisation import kaiming_convolutions


class ResNet(nn.Sequential):
    """The residual networks for ImageNet, with a stem for small images.

    He et al. (2016), table 1, but with a 3×3 convolution of stride 1 and no pooling before the
    blocks, which is usual for CIFAR. For 10 classes, "basic" blocks (2, 2, 2, 2) are ResNet-18 with
    11,173,962 parameters and "bottleneck" blocks (3, 4, 6, 3) are ResNet-50 with 23,520,842. The
    first weights are PyTorch's, as in the script that MAdam's footnote 2 names.

    Args:
        block: "basic" or "bottleneck".
        blocks: their number in each stage; from the second on, a stage halves the image.
        classes: number of logits.
        base: channels of the first stage, which each of the others doubles; He et al. have 64.

    Raises:
        ValueError: another kind of block.
    """

    def __init__(self, block: str, blocks: Sequence[int], classes: int, base: int = 64):
        if block not in ("basic", "bottleneck"):
            raise ValueError(f"block={block}: must be basic or bottleneck")
        body, expansion = (basic, 1) if block == "basic" else (bottleneck, 4)
        layers: list[nn.Module] = [*conv_norm(3, base, 3), nn.ReLU(inplace=True)]
        channels = base
        for stage, count in enumerate(blocks):
            width = base * 2**stage
            for stride in strides(stage, count):
                shortcut = projection(channels, expansion * width, stride)
                layers.append(Residual(body(channels, width, stride), shortcut))
                channels = expansion * width
        super().__init__(*layers, *classifier(channels, classes))

    def forward(self, input: Tensor) -> Tensor:
        """(batch, 3, height, width) → (batch, classes), the logits."""
        return super().forward(input)


class CifarResNet(nn.Sequential):
    """The residual networks for CIFAR-10 of He et al. (2016), section 4.2.

    Three stages of 16, 32 and 64 channels. Convolutions start from N(0, 2 / fan-out).

    Args:
        depth: number of layers with weights on the way through the blocks, 6n + 2.
        classes: number of logits.
        shortcut: how a block that halves the image hands its input on. "padding" adds channels of
            zeros and no parameters, as He et al. do for CIFAR-10 (option A): depth 20 has 269,722
            for 10 classes. "projection" is a 1×1 convolution with batch norm (option B), as in the
            implementation that LaProp's footnote 8 names: depth 20 has 272,474.

    Raises:
        ValueError: another depth or shortcut.
    """

    def __init__(self, depth: int, classes: int, shortcut: str = "padding"):
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth={depth}: must be 6n + 2, such as 20")
        if shortcut not in ("padding", "projection"):
            raise ValueError(f"shortcut={shortcut}: must be padding or projection")
        layers: list[nn.Module] = [*conv_norm(3, 16, 3), nn.ReLU(inplace=True)]
        pass_on = Subsample if shortcut == "padding" else projection
        channels = 16
        for stage, width in enumerate((16, 32, 64)):
            for stride in strides(stage, depth // 6):
                layers.append(
                    Residual(basic(channels, width, stride), pass_on(channels, width, stride))
                )
                channels = width
        super().__init__(*layers, *classifier(channels, classes))
        kaiming_convolutions(self)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, 3, height, width) → (batch, classes), the logits."""
        return super().forward(input)


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(self.body(input) + self.shortcut(input))


class Subsample(nn.Module):
    """Every stride-th pixel, with channels of zeros behind: option A of He et al. (2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride, self.zeros = stride, outputs - inputs

    def forward(self, input: Tensor) -> Tensor:
        pixels = input[:, :, :: self.stride, :: self.stride]
        return F.pad(pixels, (0, 0, 0, 0, 0, self.zeros))


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity where shapes allow it, else a 1×1 convolution: option B of He et al. (2016)."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(*conv_norm(inputs, outputs, 1, stride))


def basic(inputs: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        *conv_norm(inputs, width, 3, stride),
        nn.ReLU(inplace=True),
        *conv_norm(width, width, 3),
    )


def bottleneck(inputs: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        *conv_norm(inputs, width, 1),
        nn.ReLU(inplace=True),
        # He et al. stride in the 1×1 convolution before; torchvision and MAdam's script do it here.
        *conv_norm(width, width, 3, stride),
        nn.ReLU(inplace=True),
        *conv_norm(width, 4 * width, 1),
    )


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs)


def strides(stage: int, count: int) -> list[int]:
    """Those of a stage's blocks: the first block of every later stage halves the image."""
    return [1 if stage == 0 else 2] + [1] * (count - 1)


def classifier(channels: int, classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
