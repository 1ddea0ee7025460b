"""Deep Q-networks: of frames, by three convolutions, and of flat observations."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from models.mlp import MLP

STACK = 4  # frames that the network sees
SIDE = 84  # of a frame, in pixels: Mnih et al. (2015), methods

# Of the convolutions: Mnih et al. (2015), methods.
KERNELS, STRIDES = (8, 4, 3), (4, 2, 1)
# "same" keeps sides of 84/4, 84/8 and 84/8, rounded up.
PADDINGS = {"valid": (0, 0, 0), "same": (2, 2, 1)}


class DQN(nn.Sequential):
    """The value of every action, from the last four frames: Mnih et al. (2015).

    With 4 actions it has 1,686,180 parameters; with padding "same" 4,045,476. Daley & Amato, who
    say that they use Mnih's network, count "nearly 4 million". The first weights are PyTorch's.

    Args:
        actions: number of outputs.
        padding: "valid" (none, as Mnih et al.) or "same".
        side: of a frame, in pixels.
        channels: of the three convolutions.
        hidden: units of the first linear layer.

    Raises:
        ValueError: an unknown padding, not three channels, none of something, or frames that are
            too small for the convolutions.
    """

    def __init__(
        self,
        actions: int,
        padding: str = "valid",
        side: int = SIDE,
        channels: Sequence[int] = (32, 64, 64),
        hidden: int = 512,
    ):
        if hidden < 1:
            raise ValueError(f"hidden={hidden}: must be 1 or more")
        convolutions, features = trunk(padding, side, channels)
        super().__init__(
            *convolutions, nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, actions)
        )

    def forward(self, input: Tensor) -> Tensor:
        """Frames (batch, 4, side, side) of bytes → values (batch, actions)."""
        return super().forward(brightness(input))


class FlatDQN(MLP):
    """The value of every action, from an observation that is a list of numbers.

    Fully connected layers with ReLU between them. With 4 numbers and 2 actions it has 10,934
    parameters.

    Args:
        inputs: length of an observation.
        actions: number of outputs.
        hidden: units of the hidden layers; 120 and 84 in CleanRL's dqn.py.

    Raises:
        ValueError: a hidden layer of nothing.
    """

    def __init__(self, inputs: int, actions: int, hidden: Sequence[int] = (120, 84)):
        if min(hidden, default=1) < 1:
            raise ValueError(f"hidden={list(hidden)}: must be numbers above 0")
        super().__init__([inputs, *hidden, actions])

    def forward(self, input: Tensor) -> Tensor:
        """Observations (batch, …) of `inputs` numbers in all → values (batch, actions)."""
        return super().forward(input.flatten(1))


def brightness(frames: Tensor) -> Tensor:
    """Bytes → numbers from 0 to 1, in the order in memory of the convolutions of `trunk`."""
    return frames.to(torch.float32, memory_format=torch.channels_last, copy=True).div_(255)


def trunk(padding: str, side: int, channels: Sequence[int]) -> tuple[list[nn.Module], int]:
    """The convolutions with their ReLUs, flattened, and how many features they give.

    They are in channels_last, as frames are from `brightness`: CPUs are faster with it.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding={padding}: must be one of {', '.join(PADDINGS)}")
    if len(channels) != len(KERNELS) or min(channels) < 1:
        raise ValueError(f"channels={list(channels)}: must be {len(KERNELS)} numbers above 0")
    layers: list[nn.Module] = []
    inputs, size = STACK, side
    for outputs, kernel, stride, pad in zip(
        channels, KERNELS, STRIDES, PADDINGS[padding], strict=True
    ):
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, pad), nn.ReLU()]
        inputs, size = outputs, (size + 2 * pad - kernel) // stride + 1
    if size < 1:
        raise ValueError(f"side={side}: frames are too small for the three convolutions")
    for layer in layers:
        convert_conv2d_weight_memory_format(layer, torch.channels_last)
    return [*layers, nn.Flatten()], inputs * size * size
