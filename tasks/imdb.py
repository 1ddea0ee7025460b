"""Reviews of films on IMDB: was the film liked?"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.bounds import Count, Fraction, Share
from tasks.glove import check_reader
from tasks.holding_out import divided, left_to_train
from tasks.reviews import Reviews, Texts, load
from tasks.seeds import derive
from tasks.sources import fetch
from tasks.task import Task, build_model
from tasks.transfer import to_device

EVAL_BATCH = 256
# Batches are made of reviews of similar length, sorted among those of this many batches.
POOL_BATCHES = 20

# Words of a batch, padded (batch, longest); their numbers; the labels (batch,), 0.0 or 1.0.
Batch = tuple[Tensor, Tensor, Tensor]


class Imdb(Task):
    """Classify reviews by an LSTM over word vectors that begin as GloVe's and are trained.

    Ziyin, Wang & Ueda (LaProp, appendix C.1) name LSTM, GloVe, batch size, rates, epochs and the
    share of flipped labels. Our choices: the network's size and its output at the last word, the
    vectors' size, that they are trained, the vocabulary (the words that are the most frequent in
    the training reviews and have a vector; all others are one unknown word, which begins as zeros),
    how many words of a review are read (the last ones), and no dropout.

    A batch holds reviews of similar length. An epoch leaves out the reviews that are too few for
    another whole batch, and others each time. Labels are flipped in the training data alone, the
    same ones for every optimizer with one seed, and those flipped at a smaller probability are
    among those at a larger one.

    Made on a real device, this task reads its data at once: the first weights are among them.

    Args:
        model: makes the network, which maps words (batch, steps) and lengths (batch,) to logits
            (batch,), and has an `embedding`.
        flip_probability: of each training label.
        max_words: of a review.
        data: "full" (25,000 + 25,000 reviews) or "sample" (20,000 + 4,904 of these).
        sources: where each of these comes from (`conf/task/sources/imdb.yaml`).
        epochs: passes over the training reviews.
        batch_size: reviews in a batch.
        steps: optimizer steps instead of `epochs`; None leaves it to `epochs`.
        eval_every: steps between evaluations; None means one epoch.
        eval_train: whether to evaluate on the training reviews too, as `train/eval_loss`.
        seed: of the initial weights, of the order of the reviews and of the flips.
        device: where model and reviews live.
        root: the folder of all data sets.
        valid: the share of the training reviews that is held out, the same ones for every seed, for
            `valid/loss` and `valid/accuracy`; their words are in the vocabulary, their labels are
            not flipped.

    Raises:
        ValueError: a batch holds more reviews than there are to train on.
    """

    headline = "test/accuracy"
    extras: ClassVar = {"sample": "text"}  # pyarrow

    model: Any  # a module with an embedding

    def __init__(
        self,
        *,
        model: Callable[[], nn.Module],
        flip_probability: Fraction,
        max_words: Count,
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
    ):
        self.source = sources[data]
        train_size = left_to_train(self.source["train"], valid)
        if batch_size > train_size:
            raise ValueError(
                f"task.batch_size={batch_size}: must be at most the {train_size} "
                f"training reviews of data={data}"
            )
        self.valid = valid
        self.flip_probability = flip_probability
        self.max_words = max_words
        self.data = data
        self.batch_size = batch_size
        self.steps_per_epoch = train_size // batch_size
        self.steps = steps if steps is not None else epochs * self.steps_per_epoch
        self.eval_every = eval_every if eval_every is not None else self.steps_per_epoch
        self.eval_train = eval_train
        self.seed = seed
        self.device = device
        self.root = Path(root)
        self.model = build_model(model, seed, device)
        self._epoch = -1
        if device.type != "meta":
            with torch.no_grad():
                self.model.embedding.weight.copy_(self.texts.vectors)

    def prepare(self) -> None:
        check_reader(self.data)
        self.files()

    def files(self) -> tuple[Path, Path]:
        """The file with the reviews and the one with the vectors, whole and right."""
        [reviews] = fetch(self.source["reviews"], self.root / "imdb")
        [vectors] = fetch(self.source["vectors"], self.root / "glove")
        return reviews, vectors

    @functools.cached_property
    def texts(self) -> Texts:
        sizes = (self.source["train"], self.source["test"])
        shape = self.model.embedding.weight.shape
        return load(self.data, self.files(), sizes, tuple(shape), self.max_words, self.device)

    @functools.cached_property
    def reviews(self) -> dict[str, Reviews]:
        """Each split: "train", "test" and, where some are held out, "valid"."""
        train, test = self.texts.train, self.texts.test
        if self.valid is None:
            return {"train": train, "test": test}
        left, held_out = (train.some(part) for part in divided(len(train.lengths), self.valid))
        return {"train": left, "valid": held_out, "test": test}

    @functools.cached_property
    def labels(self) -> Tensor:
        """The training labels, some of them flipped."""
        labels = self.reviews["train"].labels
        draw = torch.Generator().manual_seed(derive(self.seed, "label flips"))
        flipped = torch.rand(len(labels), generator=draw) < self.flip_probability
        return (labels - flipped.to(labels)).abs()

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._shuffle(epoch), epoch
        chosen = self._order[index]
        return *self.reviews["train"].padded(chosen), self.labels[to_device(chosen, self.device)]

    def loss(self, batch: Batch) -> Tensor:
        words, lengths, labels = batch
        return F.binary_cross_entropy_with_logits(self.model(words, lengths), labels)

    def evaluate(self) -> dict[str, float]:
        metrics = {}
        for split in [name for name in self.reviews if name != "train"]:
            reviews = self.reviews[split]
            loss, accuracy = self.measure(reviews, reviews.labels)
            metrics |= {f"{split}/loss": loss, f"{split}/accuracy": accuracy}
        if self.eval_train:
            metrics["train/eval_loss"], _ = self.measure(self.reviews["train"], self.labels)
        return metrics

    def measure(self, reviews: Reviews, labels: Tensor) -> tuple[float, float]:
        """Mean loss and accuracy over all of them."""
        loss = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        for chosen in reviews.lengths.argsort(stable=True).split(EVAL_BATCH):
            targets = labels[to_device(chosen, self.device)]
            logits = self.model(*reviews.padded(chosen))
            loss += F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
            correct += ((logits > 0) == (targets > 0.5)).sum()
        return loss.item() / len(labels), correct.item() / len(labels)

    def _shuffle(self, epoch: int) -> Tensor:
        """Which reviews are in each batch of an epoch: (steps, batch), on the CPU."""
        lengths = self.reviews["train"].lengths
        draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
        order = torch.randperm(len(lengths), generator=draw)
        pools = order[: self.steps_per_epoch * self.batch_size].split(
            POOL_BATCHES * self.batch_size
        )
        similar = [pool[lengths[pool].argsort(stable=True)] for pool in pools]
        batches = torch.cat(similar).view(-1, self.batch_size)
        return batches[torch.randperm(len(batches), generator=draw)]
