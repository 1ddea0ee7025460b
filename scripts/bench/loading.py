"""Images as many programs load them: one by one, transformed by torchvision, in a DataLoader."""

from collections.abc import Callable, Iterator
from functools import partial
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
        transform: what is done to each image.
    """

    def __init__(self, images: Tensor, labels: Tensor, transform: Transform):
        self.images: np.ndarray[Any, Any] = images.cpu().numpy()
        self.labels: list[int] = labels.tolist()
        self.transform = transform

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
        persistent_workers=True,
        drop_last=True,  # as the task does
        pin_memory=task.device.type == "cuda",
    )


def cifar(task: Cifar, config: dict[str, Any]) -> OneByOne:
    """Random crops and mirror images, normalised: the augmentation that most scripts have."""
    transforms = torchvision().transforms
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=config["crop_padding"]),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(config["mean"], config["std"]),
        ]
    )
    return OneByOne(*task.images["train"], transform)


def digits(task: Mnist) -> OneByOne:
    """Digits less the mean image."""
    images, labels = task.images["train"]
    subtract_mean = partial(subtract_the_mean, mean=task.mean_image.cpu().view(28, 28))
    transforms = torchvision().transforms
    transform = transforms.Compose([transforms.ToTensor(), subtract_mean])
    return OneByOne(images.view(-1, 28, 28), labels, transform)


def subtract_the_mean(image: Tensor, mean: Tensor) -> Tensor:
    return (image - mean).flatten()


def epoch(batches: DataLoader[tuple[Tensor, int]], device: torch.device) -> Iterator[Images]:
    """The batches of an epoch on the device; the workers begin when the first is asked for."""
    for images, labels in batches:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
