"""RoBERTa's pre-training: predict the words of a text that are masked."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.bounds import Bound, Count
from tasks.corpus import (
    END,
    MASK,
    PADDING,
    SPECIAL,
    START,
    Blocks,
    check_learned,
    learn_tokenizer,
    make_blocks,
    news_tokenizer,
    of_part,
    read_dataset,
    read_files,
    read_news,
)
from tasks.metrics import PERPLEXITY, perplexity
from tasks.pretrained import read_tokenizer
from tasks.seeds import derive
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model
from tasks.transfer import to_device

EVAL_BATCH = 16
LEAST_TOKENS = 3  # of a block

Masked = Annotated[float, Bound(lambda value: 0 < value < 1, "a number between 0 and 1")]
Paths = Annotated[
    Sequence[str],
    Bound(
        lambda paths: paths != [] and "" not in paths,
        "a list of paths, as in 'task.files=[text.txt]'",
    ),
]


class Batch(NamedTuple):
    """Blocks in which some tokens are masked, and the tokens to predict: the targets.

    Attributes:
        tokens: (batch, longest).
        lengths: tokens of each block, (batch,).
        positions: of the targets in `tokens.flatten()`, in rising order, (targets,).
        targets: the tokens that belong there, (targets,).
        counts: targets of each block, (batch,), on the CPU: no step waits to learn their number.
    """

    tokens: Tensor
    lengths: Tensor
    positions: Tensor
    targets: Tensor
    counts: Tensor


class RobertaPretrain(Task):
    """Mask whole words of blocks of text, and learn to predict them.

    Liu et al. (2019) with fairseq's `--mask-whole-words`, as Ziyin, Wang & Ueda (LaProp, appendix
    C.5) had it: a share of all words is chosen; of these, 80% become <mask>, 10% other tokens, and
    10% stay. Departures from fairseq: each word is chosen by itself, so that a block's number of
    chosen words varies; special tokens are not chosen, where fairseq counts each as a word, and
    what a line begins with as a part of it; losses are in nats. Masks are fixed by (seed, step),
    and those of the evaluation are always the same.

    `valid/loss` is the mean over chosen tokens, and `valid/perplexity` its exponential: of tokens
    that are masked, with both sides known, so that it does not compare with a language model's.

    No more of the corpus is read than the budget trains on.

    Args:
        model: makes the network from the number of tokens and its sizes; it maps tokens, lengths
            and positions in the flattened tokens to the logits at these positions.
        mask_probability: of each word.
        max_tokens: of a block.
        valid_blocks: at most so many to validate on.
        files: paths of text files to learn from, instead of the source's; an empty line ends a
            document.
        data: "full" (English Wikipedia in RoBERTa's tokens) or "sample" (news of the BBC, in tokens
            learned on them, for a small network).
        sources: where each of these comes from, with the network's sizes
            (`conf/task/sources/roberta_pretrain.yaml`).
        batch_size: blocks in a batch.
        steps: optimizer steps.
        eval_every: steps between evaluations.
        seed: of the initial weights, the order of the blocks, and the masks.
        device: where the model lives.
        root: the folder of all data sets.

    Raises:
        ValueError: a block has more tokens than the network has positions, or too few for a word.
    """

    metrics = PERPLEXITY
    headline = "valid/perplexity"
    extras: ClassVar = {"full": "text", "sample": "text"}

    model: Any  # a module with positions

    def __init__(
        self,
        *,
        model: Callable[..., nn.Module],
        mask_probability: Masked,
        max_tokens: Count,
        valid_blocks: Count,
        files: Paths | None,
        data: str,
        sources: Mapping[str, Any],
        batch_size: Count,
        steps: Count,
        eval_every: Count,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.source = sources[data]
        self.mask_probability = mask_probability
        if max_tokens < LEAST_TOKENS:
            raise ValueError(
                f"task.max_tokens={max_tokens}: must be at least {LEAST_TOKENS}, for a token "
                f"between {START} and {END}"
            )
        self.max_tokens = max_tokens
        self.valid_blocks = valid_blocks
        self.paths = [Path(path) for path in files or ()]
        self.data = data
        self.batch_size = batch_size
        self.steps = steps
        self.eval_every = min(eval_every, steps)
        self.seed = seed
        self.device = device
        self.folder = Path(root) / "roberta_pretrain"
        self.words = self.source["words"]
        make = functools.partial(model, self.words, self.source["sizes"])
        self.model = build_model(make, seed, device)
        if max_tokens > self.model.positions:
            raise ValueError(
                f"task.max_tokens={max_tokens}: must be at most {self.model.positions}, the "
                f"positions of the network with data={data}"
            )
        self._epoch = -1

    def prepare(self) -> None:
        if self.data == "full":
            fetch(self.source, self.folder)  # the tokenizer
        self.documents()

    def documents(self) -> Iterable[str]:
        if self.paths:
            return read_files(self.paths)
        if self.data == "full":
            return read_dataset(self.source, self.folder)
        return read_news(self.news)

    @property
    def news(self) -> Path:
        return fetch(self.source, self.folder)[0]

    @functools.cached_property
    def tokenizer(self) -> Any:
        if self.data == "full":
            return read_tokenizer(fetch(self.source, self.folder), self.words)
        if self.paths:
            learned = learn_tokenizer(of_part(self.documents(), valid=False), self.words)
        else:
            learned = news_tokenizer(self.news, self.words)
        check_learned(learned, self.words, self.data)
        return learned

    @functools.cached_property
    def blocks(self) -> dict[str, Blocks]:
        """The blocks to train and to validate on."""
        counts = {"train": self.steps * self.batch_size, "valid": self.valid_blocks}
        blocks = {}
        for part, count in counts.items():
            documents = of_part(self.documents(), valid=part == "valid")
            blocks[part] = make_blocks(documents, self.tokenizer, self.max_tokens, count)
        if (count := len(blocks["train"].lengths)) < self.batch_size:
            raise DataError(
                f"task.batch_size={self.batch_size}: must be at most {count}, the blocks of up to "
                f"{self.max_tokens} tokens that the text has to train on"
            )
        return blocks

    @property
    def steps_per_epoch(self) -> int:
        return len(self.blocks["train"].lengths) // self.batch_size

    def batch(self, step: int) -> Batch:
        blocks = self.blocks["train"]
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
            self._order = torch.randperm(len(blocks.lengths), generator=draw)
            self._epoch = epoch
        chosen = self._order[index * self.batch_size :][: self.batch_size]
        return self.masked(blocks, chosen, derive(self.seed, "masks", step))

    def masked(self, blocks: Blocks, chosen: Tensor, seed: int) -> Batch:
        """These blocks, with words masked as the seed says: on the CPU, alike for every device."""
        tokens, begins, lengths = blocks.padded(chosen, self.tokenizer.token_to_id(PADDING))
        word = begins.flatten().cumsum(0).view_as(tokens) - 1  # the number of each token's word
        draw = torch.Generator().manual_seed(seed)
        chance, fate = torch.rand(2, int(word[-1, -1]) + 1, generator=draw)[:, word]
        special = sorted(map(self.tokenizer.token_to_id, SPECIAL))
        others = torch.randint(self.words - len(special), tokens.shape, generator=draw)
        for number in special:  # RoBERTa's <mask> has the last one
            others += others >= number
        is_target = (chance < self.mask_probability) & ~torch.isin(tokens, torch.tensor(special))
        masked = tokens.where(~is_target | (fate >= 0.8), self.tokenizer.token_to_id(MASK))
        masked = masked.where(~is_target | (fate < 0.8) | (fate >= 0.9), others)
        positions = is_target.flatten().nonzero().squeeze(1)
        return Batch(
            to_device(masked, self.device),
            to_device(lengths, self.device),
            to_device(positions, self.device),
            to_device(tokens.flatten()[positions], self.device),
            is_target.sum(1),
        )

    def split(self, batch: Batch, parts: int) -> list[tuple[Batch, float]]:
        """Cut between blocks; micro-batches weigh as many tokens as are to be predicted in them."""
        total = max(len(batch.targets), 1)
        first_block = first_target = 0
        micro_batches = []
        for counts in batch.counts.tensor_split(min(parts, len(batch.counts))):
            count = int(counts.sum())
            blocks = slice(first_block, first_block + len(counts))
            targets = slice(first_target, first_target + count)
            micro_batch = Batch(
                batch.tokens[blocks],
                batch.lengths[blocks],
                batch.positions[targets] - first_block * batch.tokens.size(1),
                batch.targets[targets],
                counts,
            )
            micro_batches.append((micro_batch, count / total))
            first_block, first_target = blocks.stop, targets.stop
        return micro_batches

    def loss(self, batch: Batch) -> Tensor:
        return self.summed_loss(batch) / max(len(batch.targets), 1)

    def summed_loss(self, batch: Batch) -> Tensor:
        """The sum of the losses of all targets."""
        logits = self.model(batch.tokens, batch.lengths, batch.positions).float()
        return F.cross_entropy(logits, batch.targets, reduction="sum")

    def evaluate(self) -> dict[str, float]:
        blocks = self.blocks["valid"]
        sums, count = [], 0
        for number, chosen in enumerate(torch.arange(len(blocks.lengths)).split(EVAL_BATCH)):
            batch = self.masked(blocks, chosen, derive(0, "valid masks", number))
            sums.append(self.summed_loss(batch).item())
            count += len(batch.targets)
        loss = math.fsum(sums) / max(count, 1)
        return {"valid/loss": loss, "valid/perplexity": perplexity(loss)}
