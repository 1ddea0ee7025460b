"""Classification of images: what all such tasks have in common."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.bounds import Count, Share
from tasks.holding_out import divided, left_to_train
from tasks.seeds import derive
from tasks.task import Task, build_model
from tasks.transfer import to_device

# Images and their labels: all of a split, or a batch.
Images = tuple[Tensor, Tensor]

# By k: the share of images whose class is among the k likeliest.
ACCURACY = {1: "test/accuracy", 5: "test/top5_accuracy"}


class Classification(Task):
    """Train by cross-entropy in epochs, each of them a random order of the training images.

    Unless `drop_last` is false, the last incomplete batch of an epoch is left out, so that all
    steps see equally many images; other images are left out in every epoch. The scripts of Padam
    and of MAdam keep it.

    `test/loss` and `test/accuracy` are means over all test images; where `top_k` has 5 in it,
    `test/top5_accuracy` counts an image as right if its class is among the five likeliest. With
    `valid`, `valid/loss` and `valid/accuracy` are those of the training images that are held out.

    Attributes:
        top_k: for which k an image is right if its class is among the k likeliest, rising.
        train_size: how many images there are to train on.
        images_device: where the images of a batch are put together.

    Args:
        model: makes the network, which maps images to logits.
        data: "full" or "sample".
        sources: where each of these comes from, and its sizes (`conf/task/sources/`).
        epochs: passes over the training images.
        batch_size: images in a batch.
        steps: optimizer steps instead of `epochs`; None leaves it to `epochs`.
        eval_every: steps between evaluations; None means one epoch.
        eval_train: whether an evaluation also measures `train/eval_loss`, the loss over all
            training images without augmentation, with the model in evaluation mode.
        seed: of the initial weights, the order of the images and their augmentation.
        device: where the model lives.
        root: the folder of all data sets.
        valid: the share of the training images that is held out, the same ones for every seed.
        drop_last: whether an epoch goes without the images that fill no whole batch.

    Raises:
        ValueError: a batch holds more images than there are to train on, or the model has fewer
            logits than there are classes.
    """

    headline = "test/accuracy"
    top_k: tuple[int, ...] = (1,)

    def __init__(
        self,
        *,
        model: Callable[[], nn.Module],
        data: str,
        sources: Mapping[str, Any],
        epochs: Count,
        batch_size: Count,
        steps: Count | None,
        eval_every: Count | None,
        eval_train: bool,
        seed: int,
        device: torch.device,
        root: Path,
        valid: Share | None = None,
        drop_last: bool = True,
    ):
        self.source = sources[data]
        self.train_size = left_to_train(self.source["train"], valid)
        if batch_size > self.train_size:
            raise ValueError(
                f"task.batch_size={batch_size}: must be at most the {self.train_size} "
                f"training images of data={data}"
            )
        self.data = data
        self.valid = valid
        self.batch_size = batch_size
        whole, rest = divmod(self.train_size, batch_size)
        keeps_rest = rest > 0 and not drop_last
        self.steps_per_epoch = whole + keeps_rest
        self.smallest_batch = rest if keeps_rest else batch_size
        self.steps = steps if steps is not None else epochs * self.steps_per_epoch
        self.eval_every = eval_every if eval_every is not None else self.steps_per_epoch
        self.eval_train = eval_train
        self.seed = seed
        self.device = self.images_device = device
        self.root = Path(root)
        self.model = build_model(model, seed, device)
        self._epoch, self._drawn = -1, []
        # The last parameter is the bias of the layer that gives the logits.
        *_, bias = self.model.parameters()
        if len(bias) < self.source["classes"]:
            raise ValueError(
                f"task.model: gives {len(bias)} logits, fewer than the "
                f"{self.source['classes']} classes of data={data}"
            )

    @abstractmethod
    def batches(self, split: str) -> Iterator[Images]:
        """All of the split "train", "valid" or "test", in order and not augmented."""

    def training_splits(self, train: Images) -> dict[str, Images]:
        """All training images as the split "train" and, where some are held out, "valid"."""
        if self.valid is None:
            return {"train": train}
        images, labels = train
        parts = (to_device(part, images.device) for part in divided(len(labels), self.valid))
        left, held_out = ((images[part], labels[part]) for part in parts)
        return {"train": left, "valid": held_out}

    def draw(self, epoch: int) -> list[Tensor]:
        """What is random in an epoch: the order, then other numbers for each image in that order.

        All are on the CPU, so that every device sees the same batches.
        """
        draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
        return [torch.randperm(self.train_size, generator=draw)]

    def drawn(self, step: int) -> list[Tensor]:
        """The part of `draw` that belongs to a step: (batch,) each."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._drawn = [to_device(tensor, self.images_device) for tensor in self.draw(epoch)]
            self._epoch = epoch
        batch = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return [tensor[batch] for tensor in self._drawn]

    def loss(self, batch: Images) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def evaluate(self) -> dict[str, float]:
        loss, accuracies = self.measure("test")
        metrics = {"test/loss": loss}
        metrics |= {ACCURACY[k]: value for k, value in zip(self.top_k, accuracies, strict=True)}
        if self.valid:
            metrics["valid/loss"], (metrics["valid/accuracy"], *_) = self.measure("valid")
        if self.eval_train:
            metrics["train/eval_loss"], _ = self.measure("train")
        return metrics

    def measure(self, split: str) -> tuple[float, list[float]]:
        """Mean loss over a split, and the accuracy for each of `top_k`."""
        loss = torch.zeros((), device=self.device)
        correct = torch.zeros(len(self.top_k), device=self.device)
        count = 0
        for images, labels in self.batches(split):
            logits = self.model(images)
            loss += F.cross_entropy(logits, labels, reduction="sum")
            hits = logits.topk(self.top_k[-1]).indices == labels[:, None]
            correct += torch.stack([hits[:, :k].sum() for k in self.top_k])
            count += len(labels)
        return loss.item() / count, [hits / count for hits in correct.tolist()]
