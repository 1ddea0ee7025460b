"""Images as many programs load them: one by one, transformed by torchvision, in a DataLoader."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.torchvision_import import torchvision
from tasks import Cifar, Mnist
from tasks.classification import Images

WORKERS = 2

Transform = Callable[[Image.Image], Tensor]


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images that are opened and transformed each by itself, as torchvision's data sets do it.

    Args:
        images: bytes (count, height, width), or with a dimension of channels after these.
        labels: (count,).
        make_transform: makes what is done to each image, in the process that does it.
    """

    def __init__(self, images: Tensor, labels: Tensor, make_transform: Callable[[], Transform]):
        self.images: np.ndarray[Any, Any] = images.cpu().numpy()
        self.labels: list[int] = labels.tolist()
        self.make_transform = make_transform

    @cached_property
    def transform(self) -> Transform:
        return self.make_transform()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def loader(task: Cifar | Mnist, config: dict[str, Any]) -> DataLoader[tuple[Tensor, int]]:
    """A DataLoader of the task's training images, in batches as large as the task's.

    Args:
        task: that holds the images.
        config: of the task, with the numbers of its augmentation.
    """
    data = cifar(task, config) if isinstance(task, Cifar) else digits(task)
    return DataLoader(
        data,
        task.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        # A fork of a process with threads may wait forever for a lock that one of them held.
        multiprocessing_context="forkserver",
        persistent_workers=True,
        drop_last=True,  # as the task does
        pin_memory=task.device.type == "cuda",
    )


def cifar(task: Cifar, config: dict[str, Any]) -> OneByOne:
    return OneByOne(*task.images["train"], partial(augment, config))


def augment(config: dict[str, Any]) -> Transform:
    """Random crops and mirror images, normalised: the augmentation that most scripts have."""
    make = torchvision().transforms
    return make.Compose(
        [
            make.RandomCrop(32, padding=config["crop_padding"]),
            make.RandomHorizontalFlip(),
            make.ToTensor(),
            make.Normalize(config["mean"], config["std"]),
        ]
    )


def digits(task: Mnist) -> OneByOne:
    images, labels = task.images["train"]
    mean = task.mean_image.cpu().view(28, 28)
    return OneByOne(images.view(-1, 28, 28), labels, partial(centre, mean))


def centre(mean: Tensor) -> Transform:
    """Digits less the mean image."""
    make = torchvision().transforms
    return make.Compose([make.ToTensor(), partial(less_the_mean, mean=mean)])


def less_the_mean(image: Tensor, mean: Tensor) -> Tensor:
    return (image - mean).flatten()


def epoch(batches: DataLoader[tuple[Tensor, int]], device: torch.device) -> Iterator[Images]:
    """The batches of an epoch on the device; the workers begin when the first is asked for."""
    for images, labels in batches:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
