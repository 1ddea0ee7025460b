"""What the training loop asks of a task, the same for every kind of task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from tasks.metrics import Metric
from tasks.seeds import derive


@dataclass
class Context:
    """What a task may use of the run that it is a part of.

    Attributes:
        folder: for files that the task's `state_dict` refers to, which go when the run has ended;
            None where a task is used without a run.
        keeps_artifacts: whether the user wants to see what an evaluation can show.
        artifacts: what the last evaluation leaves to be looked at, by the name of a file: a PNG or
            a GIF, which dashboards show as well, or anything else. The run takes them out.
        checkpoint_requested: set by a task that needs a checkpoint ahead of schedule. The run looks
            after each step, and unsets it.
    """

    folder: Path | None = None
    keeps_artifacts: bool = False
    artifacts: dict[str, bytes] = field(default_factory=dict)
    checkpoint_requested: bool = False


class Task(ABC):
    """A model, the data it learns from, what it minimises and how it is evaluated.

    Constructing a task is cheap and reads no data: `scripts.list` does it on the "meta" device to
    count parameters. Which values its arguments may have is said by their annotations, see
    `tasks/bounds.py`.

    Attributes:
        metrics: those that it reports beyond the common ones of `engine/metrics.py`, by name; of
            the class.
        headline: the name of the metric that says best how a run went; of the class.
        seldom: names of metrics that only the last evaluation is sure to have; of the class.
        extras: by data source, the extra of this package that brings what the task needs beyond
            what is always installed; of the class.
        model: the module to train, on the run's device.
        steps: optimizer steps in the budget.
        eval_every: steps between two evaluations; the last step is always evaluated.
        steps_per_epoch: steps of a pass over the training data; 0 where there are no such passes.
            Asked after the first step, when the data are there.
        done: whether the rest of the budget would change nothing; asked after each evaluation.
        context: what it may use of its run.
        smallest_batch: examples in the smallest of its batches; 0 where it does not say.
        shareable: whether several processes can train on shares of its batches.
        divisible: whether a batch can be cut into parts at all, as `accumulate` does.
        memory: bytes that it keeps beside the model and the data set.
        frames_per_step: frames of a game that are played for a step.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {}
    headline: ClassVar[str] = "train/loss"
    seldom: ClassVar[Collection[str]] = ()
    extras: ClassVar[Mapping[str, str]] = {}

    model: nn.Module
    steps: int
    eval_every: int
    steps_per_epoch: int = 0
    done: bool = False
    smallest_batch: int = 0
    shareable: bool = True
    divisible: bool = True
    memory: int = 0
    frames_per_step: int = 0

    @cached_property
    def context(self) -> Context:
        return Context()  # of no run

    def bind(self, context: Context) -> None:
        """Make the task a part of a run: called once, before all that follows."""
        self.context = context

    def prepare(self) -> None:
        """Fetch and check the data, where that is not done yet.

        Raises:
            tasks.sources.DataError: they cannot be had, or are not what the config says.
        """

    @abstractmethod
    def batch(self, step: int) -> Any:
        """What step number `step` (from 0) trains on, fixed by (seed, step) alone."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """The mean loss over the batch, a 0-dim tensor to call backward on."""

    @abstractmethod
    def evaluate(self) -> Mapping[str, float | Tensor]:
        """Metrics by name; the loop has set the model to eval mode.

        A tensor of shape (trials,) holds one value for each of many independent trials: curves show
        their mean, and tables treat trials like seeds. The names are the common ones and those of
        `metrics`. A value that is not finite ends the run as diverged.
        """

    def split(self, batch: Any, parts: int) -> list[tuple[Any, float]]:
        """Cut a batch into micro-batches and their weights, which sum to 1.

        The weighted mean of their losses is the loss of the whole. This form serves a batch that
        is a tuple of tensors with the examples along dimension 0. Where there are fewer examples
        than parts, each is one.
        """
        examples = len(batch[0])
        chunks = (tensor.tensor_split(min(parts, examples)) for tensor in batch)
        micro_batches = zip(*chunks, strict=True)
        return [(micro_batch, len(micro_batch[0]) / examples) for micro_batch in micro_batches]

    def after_step(self, step: int) -> None:
        """Called when optimizer step `step` (from 0) is done: target networks and the like."""

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs beyond model and optimizer."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""

    def after_checkpoint(self) -> None:
        """Called when a checkpoint holds the last `state_dict`; the one before is kept as well."""


Model = TypeVar("Model", bound=nn.Module)


def build_model(factory: Callable[[], Model], seed: int, device: torch.device) -> Model:
    """Make a model whose first weights depend on `seed` alone, not on the device."""
    if device.type == "meta":
        with device:
            return factory()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        return factory().to(device)
