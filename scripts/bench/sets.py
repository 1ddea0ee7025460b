"""The tensors that steps are measured on: the shapes of models, and shapes drawn at random."""

import random

Shape = tuple[int, ...]


def resnet18(width: int = 64) -> list[Shape]:
    """ResNet-18 for CIFAR-10 with `width` channels in its first stage: 62 tensors.

    64 channels give 11.2M elements, 192 give 100M.
    """
    shapes: list[Shape] = [(width, 3, 3, 3), *norm(width)]
    before = width
    for channels in (width, 2 * width, 4 * width, 8 * width):
        shapes += block(before, channels) + block(channels, channels)
        before = channels
    return [*shapes, (10, before), (10,)]


def block(before: int, channels: int) -> list[Shape]:
    """Two convolutions, and a third beside them where the number of channels changes."""
    shapes = [
        (channels, before, 3, 3),
        *norm(channels),
        (channels, channels, 3, 3),
        *norm(channels),
    ]
    if before != channels:
        shapes += [(channels, before, 1, 1), *norm(channels)]
    return shapes


def norm(channels: int) -> list[Shape]:
    return [(channels,), (channels,)]


def lstm(words: int = 10_000, units: int = 480, layers: int = 2) -> list[Shape]:
    """A language model with tensors few and large: 11 of them with 13.3M elements."""
    layer: list[Shape] = [(4 * units, units), (4 * units, units), (4 * units,), (4 * units,)]
    return [(words, units), *layers * layer, (words, units), (words,)]


def many(count: int = 400) -> list[Shape]:
    """Vectors of 1k to 64k elements, the same in every call: 400 of them with 13M elements."""
    draw = random.Random(0)
    return [(draw.randint(1024, 64 * 1024),) for _ in range(count)]
