"""CIFAR-10 and CIFAR-100: small colour images that lie on the device as bytes."""

import functools
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks import mnist_m
from tasks.augmentation import crop_and_flip, normalise, scale_and_shift
from tasks.bounds import CountOrZero
from tasks.classification import Classification, Images
from tasks.seeds import derive
from tasks.sources import DataError, fetch

EVAL_BATCH = 500

# By the number of classes: the files of both splits inside the archive, and what labels are called.
CONTENTS = {
    10: ([f"data_batch_{part}" for part in range(1, 6)], ["test_batch"], b"labels"),
    100: (["train"], ["test"], b"fine_labels"),
}


class Cifar(Classification):
    """Classify images of 32×32 pixels; the model maps (batch, 3, 32, 32) to logits.

    All images lie on the device as one tensor of bytes. A batch is a few operations on it for all
    of its images at once: choose, crop and mirror, and normalise into floats in channels_last
    order. (The convolutions follow that order; their weights stay as they are, because optimizers
    are fastest on contiguous parameters.)

    Args:
        mean: of red, green and blue in [0, 1], subtracted.
        std: what they are then divided by.
        crop_padding: black pixels on each side before a random crop of the training images.
        flip: whether half of them, drawn anew in each epoch, are mirrored.
        budget: see Classification.

    Raises:
        ValueError: as Classification.
    """

    def __init__(
        self,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        crop_padding: CountOrZero,
        flip: bool,
        **budget: Any,
    ):
        super().__init__(**budget)
        self.crop_padding, self.flip = crop_padding, flip
        self.scale, self.shift = scale_and_shift(mean, std, mnist_m.SIZE, self.device)

    def prepare(self) -> None:
        self.files()

    def files(self) -> list[Path]:
        name = "mnist_m" if self.data == "sample" else f"cifar{self.source['classes']}"
        return fetch(self.source, self.root / name)

    @functools.cached_property
    def images(self) -> dict[str, Images]:
        sizes = (self.source["train"], self.source["test"])
        classes = self.source["classes"]
        train, test = load(self.data, tuple(self.files()), classes, sizes, self.device)
        return self.training_splits(train) | {"test": test}

    def draw(self, epoch: int) -> list[Tensor]:
        [order] = super().draw(epoch)
        if not self.flip and not self.crop_padding:
            return [order]
        draw = torch.Generator().manual_seed(derive(self.seed, "augmentation", epoch))
        offsets = 2 * self.crop_padding + 1
        # Of mirroring, and of a window's first pixel from above and from the left.
        choices = (2 if self.flip else 1, offsets, offsets)
        return [order, *(torch.randint(n, (len(order),), generator=draw) for n in choices)]

    def batch(self, step: int) -> Images:
        chosen, *window = self.drawn(step)
        all_images, labels = self.images["train"]
        images = all_images.index_select(0, chosen)
        if window:
            images = crop_and_flip(images, self.crop_padding, *window)
        return normalise(images, self.scale, self.shift), labels.index_select(0, chosen)

    def batches(self, split: str) -> Iterator[Images]:
        parts = (tensor.split(EVAL_BATCH) for tensor in self.images[split])
        for images, labels in zip(*parts, strict=True):
            yield normalise(images, self.scale, self.shift), labels


@functools.lru_cache(maxsize=2)
def load(
    data: str, files: tuple[Path, ...], classes: int, sizes: tuple[int, int], device: torch.device
) -> tuple[Images, Images]:
    """Both splits on the device; kept, because one process trains many runs on them."""
    read = {"full": read_archive, "sample": mnist_m.read}[data]
    train, test = read(files, classes)
    counts = (len(train[0]), len(test[0]))
    if counts != sizes:
        raise DataError(
            f"{files[0]}: found {counts[0]} + {counts[1]} images, expected {sizes[0]} + {sizes[1]}"
        )
    if sorted(set(train[1].tolist())) != list(range(classes)):
        raise DataError(f"{files[0]}: found {len(train[1].unique())} classes, expected {classes}")
    on_device = [(images.to(device), labels.to(device)) for images, labels in (train, test)]
    return on_device[0], on_device[1]


def read_archive(files: Sequence[Path], classes: int) -> tuple[Images, Images]:
    """CIFAR's archive, whose hash was checked, as it is: without unpacking it on disk."""
    *splits, key = CONTENTS[classes]
    with tarfile.open(files[0]) as archive:
        members = {Path(name).name: name for name in archive.getnames()}
        missing = [name for names in splits for name in names if name not in members]
        if missing:
            raise DataError(f"{files[0]}: holds no file {missing[0]}")
        train, test = (
            [read_batch(archive, members[name], key) for name in names] for names in splits
        )
    return join(train), join(test)


def read_batch(archive: tarfile.TarFile, name: str, key: bytes) -> Images:
    """One of the pickles: images (count, 32, 32, 3) and labels."""
    file = archive.extractfile(name)
    assert file is not None
    content = pickle.load(file, encoding="bytes")
    pixels = np.asarray(content[b"data"]).reshape(-1, 3, mnist_m.SIZE, mnist_m.SIZE)
    return torch.from_numpy(pixels.transpose(0, 2, 3, 1).copy()), torch.tensor(content[key])


def join(batches: list[Images]) -> Images:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)
