"""GLUE: an encoder that others have trained learns one of eight tasks on English sentences."""

import functools
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks import sentences
from tasks.bounds import Count
from tasks.metrics import Metric
from tasks.pretrained import put_weights, read_tokenizer, read_weights
from tasks.ragged import Ragged
from tasks.seeds import derive
from tasks.sentences import Example, Examples
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model
from tasks.transfer import to_device

EVAL_BATCH = 64
ENCODED_AT_ONCE = 10_000

# Tokens (batch, longest), which text of a pair each is in, lengths (batch,), labels (batch,).
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Encoded(Ragged):
    """Texts as numbers of tokens, on the device.

    Attributes:
        tokens: of all texts, (tokens,).
        types: which text of a pair each token belongs to, (tokens,).
        labels: classes or scores, (examples,).
    """

    tokens: Tensor
    types: Tensor
    labels: Tensor

    def batch(self, chosen: Tensor) -> Batch:
        """These examples, by their numbers on the CPU, padded to the longest of them."""
        tokens, types, lengths = self.gather(chosen, (self.tokens, 0), (self.types, 0))
        labels = self.labels[to_device(chosen, self.labels.device)]
        return tokens.long(), types.long(), lengths, labels


class Glue(Task):
    """Fine-tune an encoder and a new head on it, all weights of both, as fairseq's RoBERTa example.

    An epoch is a random order of the examples. Where this departs from fairseq: the examples of a
    batch are drawn anew in each epoch, an epoch leaves out the examples that are too few for
    another whole batch, a batch has no upper limit of tokens, and losses are in nats.

    `valid/score` is the task's own measure: Matthews' correlation for `cola`, Pearson's for `stsb`,
    accuracy for the others, on the matched part for `mnli`. A correlation with predictions that are
    all the same counts as 0.

    Made on a real device, this task reads the encoder at once: the first weights are in it.

    Args:
        name: of a task, as in `recipes`.
        model: makes the network from the encoder's family and sizes and the number of outputs; it
            maps tokens, types and lengths to logits (batch, outputs).
        max_tokens: of an example; what is longer is cut at its end.
        data: "full" (GLUE and RoBERTa-base) or "sample" (snippets of Rotten Tomatoes in the forms
            of GLUE's tasks, see `tasks.sentences.read_sample`, and MiniLM).
        sources: where each of these comes from (`conf/task/sources/glue.yaml`).
        recipes: batch size, updates and warm-up of each task.
        batch_size: examples in a batch.
        steps: optimizer steps; None means the recipe's updates.
        eval_every: steps between evaluations; None means one epoch.
        seed: of the head's initial weights and the order of the examples.
        device: where model and examples live.
        root: the folder of all data sets.

    Raises:
        ValueError: there is no such task, a batch holds more examples than there are to train on,
            or `max_tokens` is more than the encoder's positions, or too few for a token of a text.
    """

    metrics: ClassVar = {
        # On the part of MNLI's data that is of other kinds of text.
        "valid/mismatched_accuracy": Metric("validation accuracy (mismatched)", "max"),
        "valid/mcc": Metric("validation Matthews correlation", "max"),
        "valid/pearson": Metric("validation Pearson correlation", "max"),
        "valid/score": Metric("validation score", "max"),
    }
    headline = "valid/score"
    extras: ClassVar = {"full": "text", "sample": "text"}

    model: Any  # a module with an encoder and with positions

    def __init__(
        self,
        *,
        name: str,
        model: Callable[..., nn.Module],
        max_tokens: Count,
        data: str,
        sources: Mapping[str, Any],
        recipes: Mapping[str, Any],
        batch_size: Count,
        steps: Count | None,
        eval_every: Count | None,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        if name not in recipes:
            raise ValueError(f"task.name={name}: must be one of {', '.join(recipes)}")
        self.name, self.data = name, data
        self.source = sources[data]["texts"][name]
        self.encoder = sources[data]["encoder"]
        if batch_size > self.source["train"]:
            raise ValueError(
                f"task.batch_size={batch_size}: must be at most the {self.source['train']} "
                f"training examples of task.name={name} with data={data}"
            )
        # Up to two special tokens for each text, and one of its own. With fewer, nothing is cut.
        least = 3 * len(sentences.LAYOUTS[name].texts)
        if max_tokens < least:
            raise ValueError(
                f"task.max_tokens={max_tokens}: must be at least {least} with task.name={name}"
            )
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.steps_per_epoch = self.source["train"] // batch_size
        self.steps = steps if steps is not None else recipes[name]["updates"]
        self.eval_every = eval_every if eval_every is not None else self.steps_per_epoch
        self.eval_every = min(self.eval_every, self.steps)
        self.seed = seed
        self.device = device
        self.root = Path(root)
        make = functools.partial(
            model, self.encoder["family"], self.encoder["sizes"], sentences.outputs(name)
        )
        self.model = build_model(make, seed, device)
        if max_tokens > self.model.positions:
            raise ValueError(
                f"task.max_tokens={max_tokens}: must be at most {self.model.positions}, the "
                f"positions of the encoder with data={data}"
            )
        self._epoch = -1
        if device.type != "meta":
            files = self.encoder_files()
            put_weights(
                self.model.encoder, read_weights(files), self.encoder["family"], files[0].parent
            )

    def prepare(self) -> None:
        self.encoder_files()
        self.text_files()

    def encoder_files(self) -> tuple[Path, ...]:
        return tuple(fetch(self.encoder, self.root / "encoders" / self.data))

    def text_files(self) -> tuple[Path, ...]:
        return tuple(fetch(self.source, self.root / "glue"))

    @functools.cached_property
    def parts(self) -> dict[str, Encoded]:
        """The examples to train and to validate on."""
        parts = tuple(part for part in ("train", "valid", "mismatched") if part in self.source)
        return load(
            self.data,
            self.name,
            self.text_files(),
            tuple((part, self.source[part]) for part in parts),
            self.encoder_files(),
            self.encoder["sizes"]["vocab_size"],
            self.max_tokens,
            self.device,
        )

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
            self._order = torch.randperm(self.source["train"], generator=draw)
            self._epoch = epoch
        return self.parts["train"].batch(self._order[index * self.batch_size :][: self.batch_size])

    def loss(self, batch: Batch) -> Tensor:
        *texts, labels = batch
        return self.losses(self.model(*texts), labels).mean()

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each example, (batch,): cross-entropy, or for scores the squared error."""
        if logits.size(1) == 1:
            return (logits[:, 0].float() - labels).square()
        return F.cross_entropy(logits.float(), labels.long(), reduction="none")

    def evaluate(self) -> dict[str, float]:
        loss, predictions, labels = self.predict("valid")
        metrics = {"valid/loss": loss}
        if self.name == "stsb":
            metrics["valid/pearson"] = metrics["valid/score"] = correlation(predictions, labels)
            return metrics
        metrics["valid/accuracy"] = metrics["valid/score"] = accuracy(predictions, labels)
        if self.name == "cola":
            # Of two classes, Matthews' correlation is Pearson's of their numbers.
            metrics["valid/mcc"] = metrics["valid/score"] = correlation(predictions, labels)
        if "mismatched" in self.parts:
            _, predictions, labels = self.predict("mismatched")
            metrics["valid/mismatched_accuracy"] = accuracy(predictions, labels)
        return metrics

    def predict(self, part: str) -> tuple[float, Tensor, Tensor]:
        """The mean loss over a part, the predicted class or score of each example, the labels."""
        examples = self.parts[part]
        predictions = torch.zeros_like(examples.labels)
        total = torch.zeros((), device=self.device)
        for chosen in examples.lengths.argsort(stable=True).split(EVAL_BATCH):
            *texts, labels = examples.batch(chosen)
            logits = self.model(*texts)
            total += self.losses(logits, labels).sum()
            predicted = logits.argmax(1) if logits.size(1) > 1 else logits[:, 0]
            predictions[to_device(chosen, self.device)] = predicted.to(predictions)
        return total.item() / len(predictions), predictions, examples.labels


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    return (predictions == labels).double().mean().item()


def correlation(predictions: Tensor, labels: Tensor) -> float:
    """Pearson's; 0 where one of the two is the same for all examples."""
    coefficient = torch.corrcoef(torch.stack([predictions, labels]).double())[0, 1]
    return coefficient.nan_to_num(0.0).item()


# -- reading ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def load(
    data: str,
    name: str,
    files: tuple[Path, ...],
    sizes: tuple[tuple[str, int], ...],
    encoder: tuple[Path, ...],
    vocabulary: int,
    max_tokens: int,
    device: torch.device,
) -> dict[str, Encoded]:
    """The examples of each part; kept, because one process trains many runs on them.

    Raises:
        DataError: a part has another number of examples than the source says, or the tokenizer is
            another model's.
    """
    parts = {"full": sentences.read_full, "sample": sentences.read_sample}[data](name, files)
    for part, size in sizes:
        if (count := len(parts[part])) != size:
            raise DataError(f"{files[0]}: {count} examples to {part} on, expected {size}")
    tokenizer = read_tokenizer(encoder, vocabulary)
    return {part: encode(parts[part], tokenizer, max_tokens, device) for part in parts}


def encode(examples: Examples, tokenizer: Any, max_tokens: int, device: torch.device) -> Encoded:
    """Examples as tokens; where one has more than `max_tokens`, its longer text loses its end."""
    tokenizer.enable_truncation(max_tokens)
    tokens, types, lengths = array("i"), array("i"), array("q")
    remaining = iter(examples)
    while chunk := list(islice(remaining, ENCODED_AT_ONCE)):
        inputs = [tokenizer_input(example, max_tokens) for example in chunk]
        for encoding in tokenizer.encode_batch(inputs):
            tokens.extend(encoding.ids)
            types.extend(encoding.type_ids)
            lengths.append(len(encoding.ids))
    return Encoded.laid_out(
        torch.tensor(lengths),
        device,
        torch.frombuffer(tokens, dtype=torch.int32),
        torch.frombuffer(types, dtype=torch.int32),
        torch.tensor([example.label for example in examples]),
    )


def tokenizer_input(example: Example, max_tokens: int) -> str | Sequence[str]:
    """A text, or a pair of texts, as the library tokenizers takes them.

    Words that cannot be among the tokens are left out: where it cuts both texts of a pair, the
    library keeps every combination of what it has cut off, which for long ones fills the memory.
    """
    first, *second = (first_words(text, max_tokens) for text in example.texts)
    return (first, *second) if second else first


def first_words(text: str, count: int) -> str:
    following = next(islice(re.finditer(r"\S+", text), count, None), None)
    return text[: following.start()] if following else text
