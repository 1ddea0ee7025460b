"""The tensors that steps are measured on: the shapes of models, and shapes drawn at random."""

import random

Shape = tuple[int, ...]


def resnet18(width: int = 64) -> list[Shape]:
    """ResNet-18 for CIFAR-10 with `width` channels in its first stage: 62 tensors.

    64 channels give 11.2M elements, 192 give 100M.
    """
    shapes: list[Shape] = [(width, 3, 3, 3), *norm(width)]
    in_channels = width
    for channels in (width, 2 * width, 4 * width, 8 * width):
        shapes += block(in_channels, channels) + block(channels, channels)
        in_channels = channels
    return [*shapes, (10, in_channels), (10,)]


def block(in_channels: int, out_channels: int) -> list[Shape]:
    """Two convolutions, and a third beside them where the number of channels changes."""
    shapes = [
        (out_channels, in_channels, 3, 3),
        *norm(out_channels),
        (out_channels, out_channels, 3, 3),
        *norm(out_channels),
    ]
    if in_channels != out_channels:
        shapes += [(out_channels, in_channels, 1, 1), *norm(out_channels)]
    return shapes


def norm(channels: int) -> list[Shape]:
    return [(channels,), (channels,)]


def lstm(vocabulary: int = 10_000, hidden: int = 480, layers: int = 2) -> list[Shape]:
    """A language model with tensors few and large: 11 of them with 13.3M elements."""
    layer: list[Shape] = [(4 * hidden, hidden), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]
    return [(vocabulary, hidden), *layers * layer, (vocabulary, hidden), (vocabulary,)]


def many(count: int = 400) -> list[Shape]:
    """Vectors of 1k to 64k elements, the same in every call: 400 of them with 13M elements."""
    generator = random.Random(0)
    return [(generator.randint(1024, 64 * 1024),) for _ in range(count)]
