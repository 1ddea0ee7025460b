"""ImageNet: photographs that other processes read from disk while the model trains."""

import contextlib
import copy
import functools
import itertools
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.torchvision_import import torchvision
from tasks import mnist_m
from tasks.augmentation import normalise, scale_and_shift
from tasks.classification import Classification, Images
from tasks.holding_out import divided
from tasks.metrics import Metric
from tasks.seeds import derive
from tasks.sources import DataError, check_may_make, fetch

EVAL_BATCH = 250
FOLDERS = {"train": "train", "test": "val"}

# The index of a photograph, and the seed of its augmentation; None: not augmented.
Request = tuple[int, int | None]


class ImageNet(Classification):
    """Classify photographs; the model maps (batch, 3, size, size) to logits, with size 224.

    Training images are a random window of the photograph, resized and mirrored at random (MAdam,
    appendix D, names no more: the rest is as torchvision's transforms have it). Test images are the
    middle of the photograph, 224 out of 256 parts of its shorter side. What is in a batch depends
    on (seed, step) alone, however many processes read it.

    The photographs lie in the folder of all data sets, in `imagenet/train` and `imagenet/val`, with
    a folder for each class. Where these are missing, torchvision's ImageNet class unpacks them from
    the archives that image-net.org hands out.

    Args:
        mean: of red, green and blue in [0, 1], subtracted.
        std: what they are then divided by.
        budget: see Classification.

    Raises:
        ValueError: as Classification.
    """

    metrics: ClassVar = {"test/top5_accuracy": Metric("test accuracy (top 5)", "max")}
    extras: ClassVar = {"full": "vision", "sample": "vision"}
    top_k = (1, 5)

    def __init__(self, *, mean: Sequence[float], std: Sequence[float], **budget: Any):
        super().__init__(**budget)
        self.images_device = torch.device("cpu")
        size = self.source["size"]
        self.scale, self.shift = scale_and_shift(mean, std, size, self.device)
        self._stream: Iterator[Images] = iter(())
        self._next = -1

    def prepare(self) -> None:
        _ = self.photographs

    @functools.cached_property
    def photographs(self) -> dict[str, "Photographs"]:
        sample = self.data == "sample"
        folder = self.root / ("imagenet_sample" if sample else "imagenet")
        missing = [name for name in FOLDERS.values() if not (folder / name).is_dir()]
        if missing:
            check_may_make(folder)
        if missing and sample:
            make_sample(self.source, self.root, folder)
        elif missing:
            unpack(folder, missing)
        size, classes = self.source["size"], self.source["classes"]
        train, test = (
            list_photographs(folder / name, size, classes, self.source[split])
            for split, name in FOLDERS.items()
        )
        if self.valid is None:
            return {"train": train, "test": test}
        left, held_out = (train.some(part) for part in divided(len(train), self.valid))
        return {"train": left, "valid": held_out, "test": test}

    def draw(self, epoch: int) -> list[Tensor]:
        [order] = super().draw(epoch)
        draw = torch.Generator().manual_seed(derive(self.seed, "augmentation", epoch))
        return [order, torch.randint(2**62, (len(order),), generator=draw)]

    def batch(self, step: int) -> Images:
        if step != self._next:
            # Weak, since a cycle would leave the processes that read to the garbage collector.
            task = weakref.proxy(self)
            requests = (task.requests(later) for later in itertools.count(step))
            self._stream = read(self.photographs["train"], requests, self.device)
        self._next = step + 1
        images, labels = next(self._stream)
        return normalise(images, self.scale, self.shift), labels

    def requests(self, step: int) -> list[Request]:
        indices, seeds = self.drawn(step)
        return list(zip(indices.tolist(), seeds.tolist(), strict=True))

    def batches(self, split: str) -> Iterator[Images]:
        count = len(self.photographs[split])
        batches: Iterator[list[Request]] = (
            [(index, None) for index in range(first, min(first + EVAL_BATCH, count))]
            for first in range(0, count, EVAL_BATCH)
        )
        for images, labels in read(self.photographs[split], batches, self.device):
            yield normalise(images, self.scale, self.shift), labels


class Photographs(Dataset[tuple[Tensor, int]]):
    """Photographs on disk, with a folder for each class.

    Args:
        paths: of all of them.
        labels: their classes.
        size: pixels of the side of a square image that is made of a photograph.
    """

    def __init__(self, paths: Sequence[str], labels: Sequence[int], size: int):
        # Arrays, since processes that read ahead would copy a list of a million strings.
        self.paths, self.labels = np.array([os.fsencode(path) for path in paths]), np.array(labels)
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def some(self, chosen: Tensor) -> "Photographs":
        """Those with these indices."""
        part = copy.copy(self)
        part.paths, part.labels = self.paths[chosen.numpy()], self.labels[chosen.numpy()]
        return part

    def __getitem__(self, request: Request) -> tuple[Tensor, int]:
        """Bytes (size, size, 3) and the class."""
        from PIL import Image

        index, seed = request
        path = os.fsdecode(self.paths[index])
        try:
            with Image.open(path) as file:
                photograph = file.convert("RGB")
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        augmented, plain = transforms(self.size)
        if seed is None:
            image = plain(photograph)
        else:
            # The transforms draw from the global generator, here of a process that only reads.
            torch.default_generator.manual_seed(seed)
            image = augmented(photograph)
        return torch.from_numpy(np.array(image)), int(self.labels[index])


@functools.lru_cache
def transforms(size: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The transforms of training photographs and those of test photographs.

    Not kept in `Photographs`: a process that reads and was not forked would import torchvision by
    unpickling them, and not through `models.torchvision_import`, as it has to be.
    """
    make = torchvision().transforms
    augmented = make.Compose([make.RandomResizedCrop(size), make.RandomHorizontalFlip()])
    plain = make.Compose([make.Resize(size * 256 // 224), make.CenterCrop(size)])
    return augmented, plain


def read(
    photographs: Photographs, requests: Iterable[list[Request]], device: torch.device
) -> Iterator[Images]:
    """The bytes and labels of each batch of requests, read ahead by one process for each core."""
    cuda = device.type == "cuda"
    loader = DataLoader(
        photographs,
        batch_sampler=requests,
        num_workers=cores(),
        pin_memory=cuda,
        # Its own, although nothing is drawn from it here: dropout draws from the global one.
        generator=torch.Generator(),
    )
    for images, labels in loader:
        yield images.to(device, non_blocking=cuda), labels.to(device, non_blocking=cuda)


def cores() -> int:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.lru_cache(maxsize=4)
def list_photographs(folder: Path, size: int, classes: int, count: int) -> Photographs:
    """What is in a folder, without reading the photographs; kept for the runs that follow.

    Raises:
        DataError: it holds another number of classes or of photographs.
    """
    try:
        images = torchvision().datasets.ImageFolder(folder)
    except FileNotFoundError as error:
        raise DataError(f"{folder}: {error}") from error
    if (len(images.classes), len(images)) != (classes, count):
        raise DataError(
            f"{folder}: found {len(images)} photographs in {len(images.classes)} classes, "
            f"expected {count} in {classes}"
        )
    paths, labels = zip(*images.samples, strict=True)
    return Photographs(paths, labels, size)


def unpack(folder: Path, splits: Sequence[str]) -> None:
    """Have torchvision unpack ImageNet's archives, whose MD5 it checks.

    Raises:
        DataError: an archive is missing or damaged.
    """
    archives = ["ILSVRC2012_devkit_t12.tar.gz", *(f"ILSVRC2012_img_{name}.tar" for name in splits)]
    absent = [name for name in archives if not (folder / name).exists()]
    if absent:
        raise DataError(
            f"data=full: {folder} must hold train/ and val/ with a folder for each class, or "
            f"image-net.org's archives to unpack; there is no {' and no '.join(absent)}. "
            "Without them, use data=sample."
        )
    try:
        for name in splits:
            torchvision().datasets.ImageNet(folder, name)
    # It asks for scipy to read the names of the classes.
    except (OSError, RuntimeError, ModuleNotFoundError) as error:
        raise DataError(f"{folder}: the archives cannot be unpacked: {error}") from error


def make_sample(source: Mapping[str, Any], root: Path, folder: Path) -> None:
    """Write the digits on photographs that stand in for CIFAR-10, enlarged, as JPEG files.

    Raises:
        DataError: what they are made of cannot be had.
    """
    splits = mnist_m.read(fetch(source, root / "mnist_m"), source["classes"])
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        for split, (images, labels) in zip(FOLDERS, splits, strict=True):
            chosen = slice(source[split])
            write(
                images[chosen], labels[chosen], source["size"], Path(scratch, "all", FOLDERS[split])
            )
        # Where it fails, another process was first.
        with contextlib.suppress(OSError):
            Path(scratch, "all").rename(folder)


def write(images: Tensor, labels: Tensor, size: int, folder: Path) -> None:
    """One file for each of the images (count, height, width, 3), in a folder for each class."""
    from PIL import Image

    for number, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
        class_folder = folder / str(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        enlarged = Image.fromarray(image).resize((size, size))
        enlarged.save(class_folder / f"{number}.jpg", quality=95)
