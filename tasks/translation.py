"""Translate sentences by an encoder-decoder."""

import functools
import logging
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.beam_search import beam_search
from tasks.bleu import sacrebleu, tokenised_bleu
from tasks.bounds import Count, Fraction, PositiveOrZero
from tasks.metrics import PERPLEXITY, Metric, perplexity
from tasks.parallel_text import END, PAD, UNKNOWN, Pairs, ParallelText, load, whole
from tasks.sources import DataError
from tasks.task import Task, build_model
from tasks.token_batches import TokenBatches

log = logging.getLogger("adamily")

# Words of an evaluation batch. Fewer fit where a beam multiplies them.
EVAL_TOKENS, DECODE_TOKENS = 8192, 2048


class SentenceBatch(NamedTuple):
    """Sentences of a step that go through the model together.

    Attributes:
        sources: words (sentences, source steps).
        decoder_inputs: the word before each target word, (sentences, target steps).
        targets: the target words, (sentences, target steps).
        lengths: target words of each sentence, (sentences,), on the CPU: no step waits for them.
    """

    sources: Tensor
    decoder_inputs: Tensor
    targets: Tensor
    lengths: Tensor

    @property
    def tokens(self) -> int:
        """Target words, without padding."""
        return int(self.lengths.sum())

    def cut(self, parts: int) -> list["SentenceBatch"]:
        """Cut between sentences; where these are fewer than parts, each is one."""
        chunks = (tensor.tensor_split(min(parts, len(self.lengths))) for tensor in self)
        return [SentenceBatch(*tensors) for tensors in zip(*chunks, strict=True)]


Batch = list[SentenceBatch]


class Translation(Task):
    """Label-smoothed cross-entropy of each target word, in batches of so many words.

    Losses are means over target words in nats, END's among them and padding left out. Smoothing is
    torch's: each word of the vocabulary has label_smoothing / words of it, the right one too, while
    newer fairseq divides by words - 1 and gives the right one none. `train/loss` and `valid/loss`
    are smoothed; `valid/perplexity` is the exponential of the loss without smoothing.

    `valid/bleu` and `test/bleu` are BLEU of words as Moses tokenises (those of IWSLT'14 in lower
    case), `test/sacrebleu` is BLEU of detokenised text, with sacrebleu's own tokeniser; its
    signature is logged. All are in points, from beam search.

    A step trains on `batches` batches of words, which fairseq would give to as many GPUs and
    backward passes: `accumulate` and processes cut between them first, and between sentences next.
    An epoch leaves out the batches that are too few for another step, and others each time.

    Args:
        model: makes the network from `source_words`, `target_words` and `shared`; it is called
            with sources and the target words before each, and decodes as `beam_search` says.
        corpus: "iwslt14" or "wmt16".
        data: "full" or "sample" (spelled numbers).
        sources: where each of these comes from, and its sizes (`conf/task/sources/`).
        steps: optimizer steps.
        max_tokens: of a batch of words, padding included; the larger side counts.
        batches: of words in a step.
        label_smoothing: the share of the probability that is spread over all words.
        beam: hypotheses that are followed side by side.
        length_penalty: see `beam_search`.
        eval_every: steps between evaluations.
        decode_every: evaluations between those that translate; the last one always does.
        seed: of the initial weights and of the order of the sentences.
        device: where model and sentences live.
        root: the folder of all data sets.
    """

    metrics: ClassVar = {
        "valid/perplexity": PERPLEXITY["valid/perplexity"],
        "valid/bleu": Metric("validation BLEU (tokenised)", "max"),
        "test/bleu": Metric("test BLEU (tokenised)", "max"),
        "test/sacrebleu": Metric("test sacreBLEU", "max"),
    }
    headline = "test/bleu"
    seldom = ("valid/bleu", "test/bleu", "test/sacrebleu")
    extras: ClassVar = {"full": "text", "sample": "text"}

    model: Any  # a module that decodes, too

    def __init__(
        self,
        *,
        model: Callable[..., nn.Module],
        corpus: str,
        data: str,
        sources: Mapping[str, Any],
        steps: Count,
        max_tokens: Count,
        batches: Count,
        label_smoothing: Fraction,
        beam: Count,
        length_penalty: PositiveOrZero,
        eval_every: Count,
        decode_every: Count,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.source = sources[data]
        self.corpus = corpus
        self.data = data
        self.steps = steps
        self.max_tokens = max_tokens
        self.batches = batches
        self.label_smoothing = label_smoothing
        self.beam = beam
        self.length_penalty = length_penalty
        self.eval_every = min(eval_every, steps)
        self.decode_every = decode_every
        self.seed = seed
        self.device = device
        self.folder = Path(root) / corpus
        sizes = {name: self.source[name] for name in ("source_words", "target_words", "shared")}
        self.model = build_model(functools.partial(model, **sizes), seed, device)
        self._done = 0  # steps
        self._epoch, self._order = -1, []

    def prepare(self) -> None:
        _ = self.training  # reads the data, and refuses batches that they do not fit

    @functools.cached_property
    def text(self) -> ParallelText:
        return load(self.corpus, self.data, self.source, self.folder, self.device)

    @functools.cached_property
    def training(self) -> TokenBatches:
        """The training sentences in batches of words.

        Raises:
            DataError: a sentence does not fit into a batch, or an epoch has no whole step.
        """
        pairs = self.text.parts["train"]
        try:
            batches = TokenBatches(pairs.source.lengths, pairs.target.lengths, self.max_tokens)
        except ValueError as error:
            raise DataError(str(error)) from error
        if len(batches) < self.batches:
            raise DataError(
                f"task.batches={self.batches}: must be at most {len(batches)}, the batches of "
                f"task.max_tokens={self.max_tokens} words in an epoch of data={self.data}"
            )
        return batches

    @property
    def steps_per_epoch(self) -> int:
        return len(self.training) // self.batches

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self.training.epoch(self.seed, epoch), epoch
        of_step = self._order[index * self.batches : (index + 1) * self.batches]
        return [sentence_batch(self.text.parts["train"], chosen) for chosen in of_step]

    def split(self, batch: Batch, parts: int) -> list[tuple[Batch, float]]:
        parts_each = math.ceil(parts / len(batch))
        cut = [part for sentences in batch for part in sentences.cut(parts_each)]
        count = min(parts, len(cut))
        bounds = [len(cut) * number // count for number in range(count + 1)]
        micro_batches = [cut[first:last] for first, last in pairwise(bounds)]
        total = tokens(batch)
        return [(micro_batch, tokens(micro_batch) / total) for micro_batch in micro_batches]

    def loss(self, batch: Batch) -> Tensor:
        losses = [
            summed_loss(self.logits(sentences), sentences, self.label_smoothing)
            for sentences in batch
        ]
        return torch.stack(losses).sum() / tokens(batch)

    def logits(self, sentences: SentenceBatch) -> Tensor:
        return self.model(sentences.sources, sentences.decoder_inputs)

    def after_step(self, step: int) -> None:
        self._done = step + 1

    def evaluate(self) -> dict[str, float]:
        metrics = self.measure(self.text.parts["valid"])
        due = self._done % (self.eval_every * self.decode_every) == 0 or self._done == self.steps
        # A loss that is not finite ends the run, and no word is likeliest where all are NaN.
        if due and math.isfinite(metrics["valid/loss"]):
            metrics |= self.translate_and_score()
        return metrics

    def measure(self, pairs: Pairs) -> dict[str, float]:
        """The validation loss and perplexity."""
        smoothed = torch.zeros((), dtype=torch.float64, device=self.device)
        plain = torch.zeros_like(smoothed)
        batches = TokenBatches(pairs.source.lengths, pairs.target.lengths, EVAL_TOKENS)
        for chosen in batches.sorted():
            sentences = sentence_batch(pairs, chosen)
            logits = self.logits(sentences)
            smoothed += summed_loss(logits, sentences, self.label_smoothing)
            plain += summed_loss(logits, sentences, 0.0)
        count = int(pairs.target.lengths.sum())
        return {
            "valid/loss": smoothed.item() / count,
            "valid/perplexity": perplexity(plain.item() / count),
        }

    def translate_and_score(self) -> dict[str, float]:
        scores = {}
        for part in ("valid", "test"):
            pairs = self.text.parts[part]
            lines = self.translate(pairs)
            scores[f"{part}/bleu"] = tokenised_bleu(lines, pairs.references)
        language, lowercase = self.source["target"], self.source["lowercase"]
        scores["test/sacrebleu"], signature = sacrebleu(lines, pairs.plain, language, lowercase)
        log.info("test/sacrebleu is %s", signature)
        return scores

    def translate(self, pairs: Pairs) -> list[str]:
        """The translation of every sentence as a line of words."""
        sources = pairs.source
        batches = TokenBatches(sources.lengths, sources.lengths, DECODE_TOKENS)
        lines = {}
        for chosen in batches.sorted():
            limits = longest_translation(sources.lengths[chosen]).to(self.device)
            words = sources.padded(chosen)
            best, _ = beam_search(self.model, words, limits, self.beam, self.length_penalty)
            for index, numbers in zip(chosen.tolist(), best.tolist(), strict=True):
                lines[index] = self.decode(numbers)
        return [lines[index] for index in range(len(lines))]

    def decode(self, numbers: list[int]) -> str:
        """The whole words of a translation before its END."""
        vocabulary = self.text.target_words
        # A number of the vocabulary for which there is no word was never trained on.
        subwords = (
            vocabulary[n] if n < len(vocabulary) else vocabulary[UNKNOWN]
            for n in numbers[: numbers.index(END)]
        )
        return whole(" ".join(subwords))


def sentence_batch(pairs: Pairs, chosen: Tensor) -> SentenceBatch:
    """Some sentences of a part, by their numbers on the CPU."""
    targets = pairs.target.padded(chosen)
    inputs = targets.roll(1, 1)
    inputs[:, 0] = END
    inputs = inputs.where(targets != PAD, PAD)
    return SentenceBatch(pairs.source.padded(chosen), inputs, targets, pairs.target.lengths[chosen])


def tokens(batch: Batch) -> int:
    return sum(sentences.tokens for sentences in batch)


def summed_loss(logits: Tensor, sentences: SentenceBatch, label_smoothing: float) -> Tensor:
    """The sum of the losses of all target words."""
    return F.cross_entropy(
        logits.flatten(0, 1),
        sentences.targets.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=label_smoothing,
    )


def longest_translation(lengths: Tensor) -> Tensor:
    """How many words a translation may have, for sources with END.

    As in fairseq's recipe for IWSLT'14 with --eval-bleu; its generate script has 200 for all.
    """
    return (1.2 * lengths).long() + 10
