"""Crops, flips and normalisation of a whole batch of images at once, on any device."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_and_flip(
    images: Tensor, padding: int, mirror: Tensor, top: Tensor, left: Tensor
) -> Tensor:
    """A window of the images' own size out of each image, or its mirror image, padded with black.

    Args:
        images: (batch, height, width, channels).
        padding: black pixels on each side.
        mirror: (batch,), 1 where the mirror image is taken, 0 where the image is.
        top: (batch,), the first pixel of each window from above, from 0 to 2·padding.
        left: the same from the left.
    """
    count, height, width, _ = images.shape
    plain_and_mirrored = torch.stack([images, images.flip(2)])
    padded = F.pad(plain_and_mirrored, (0, 0, padding, padding, padding, padding))
    # All windows that there are, as a view: (2, batch, top, left, channels, height, width).
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    index = torch.arange(count, device=images.device)
    return windows[mirror, index, top, left].permute(0, 2, 3, 1)


def normalise(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Bytes (batch, height, width, channels) to floats (batch, channels, height, width).

    They keep their order in memory, which PyTorch calls channels_last.

    Args:
        images: of any number type.
        scale: what a pixel is multiplied by, (height, width, channels).
        shift: what is added then, in the same shape.
    """
    return (images * scale).add_(shift).permute(0, 3, 1, 2)


def scale_and_shift(
    mean: Sequence[float], std: Sequence[float], size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """What `normalise` takes, so that bytes become (byte / 255 - mean) / std.

    Both are (size, size, channels): one number for each pixel and channel, because on a CPU loops
    over three channels alone are slow.
    """
    stds = torch.tensor(std).repeat(size, size, 1)
    means = torch.tensor(mean).repeat(size, size, 1)
    return (1 / (255 * stds)).to(device), (-means / stds).to(device)
