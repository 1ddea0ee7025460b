"""What training costs: the loop, the loading of images and tokens, and the memory of images."""

import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.config import compose
from engine.session import Session
from scripts.bench import gpt, tokens
from scripts.bench.bare import ENDLESS, bare_steps
from scripts.bench.loading import WORKERS, epoch, loader
from scripts.bench.loop import by_turns
from scripts.bench.page import markdown, publish, show
from scripts.bench.race import ratio, wait_for

DATA = ["data=sample"]


class Work(NamedTuple):
    """What a round of a task is.

    Attributes:
        steps: of each loop.
        overrides: of the task's config.
    """

    steps: int
    overrides: Sequence[str] = ()


# On a CPU a step of ResNet-18 takes seconds with the task's own batches. Small ones let all that is
# not the network weigh more.
LOOPS = {
    "cpu": {
        "cifar10_resnet18": Work(4, ["task.batch_size=8"]),
        "ptb_lstm": Work(15),
    },
    "cuda": {"cifar10_resnet18": Work(50), "ptb_lstm": Work(100)},
}
LOADED = ["mnist_fc2", "cifar10_resnet20"]

LOOP_NOTES = """\
## The training loop

A step of `scripts.train`, which puts each batch together, over a bare step (forward, backward,
optimizer) on one batch that stays on the device. By turns; medians, and in brackets the quartiles
of the ratios of one round. Evaluations and the steps that they observe are left out. Target: a
ratio of at most 1.05.
"""

LOADING_NOTES = f"""\
## Images trained on in a second

Epochs of this project's task beside epochs of a DataLoader with {WORKERS} workers and torchvision's
transforms of one image at a time, with the same network, optimizer and batch size in a bare loop.
By turns; medians, and in brackets the quartiles of the ratios of one round. "Alone" is without
training on the batches. Where the workers prepare batches in less time than a step takes, the
loading is hidden behind the training, and the ratio is near 1. Target: 1.5 where it is not hidden.
"""

MEMORY_NOTES = """\
## Memory of the data

What the task holds of the images of both splits while it trains, and the largest tensor of floats
that it holds at all, network and optimizer apart.
"""


def report(device: torch.device, rounds: int, out: str | None) -> None:
    """Measure and print the tables; write them where a folder is given."""
    measures = (loops, loading, memory, tokens.report, gpt.report)
    sections = [partial(measure, device, rounds) for measure in measures]
    publish("Training", "train", device, rounds, ["torchvision"], sections, out)


# -- the loop --------------------------------------------------------------------------------------


def loops(device: torch.device, rounds: int) -> str:
    """Milliseconds of a step in the training loop and in a bare one, for each task."""
    rows = []
    for task, work in LOOPS[device.type].items():
        overrides = [f"task={task}", *DATA, *work.overrides]
        bare, loop = by_turns(overrides, work.steps, device, rounds, resident=True)
        name = " ".join([task, *work.overrides])
        rows.append([name, str(work.steps), milliseconds(bare), milliseconds(loop)])
        rows[-1].append(show(ratio(loop, bare), decimals=3))
    titles = ["task", "steps in a round", "bare, ms", "loop, ms", "loop ÷ bare"]
    return f"{LOOP_NOTES}\n{markdown(titles, rows)}"


def milliseconds(seconds: Sequence[float]) -> str:
    return f"{median(seconds) * 1e3:.2f}"


# -- loading ---------------------------------------------------------------------------------------


class EpochSeconds(NamedTuple):
    """Seconds of an epoch in each round.

    Attributes:
        ours, theirs: trained on batches of the task, and of the DataLoader.
        ours_alone, theirs_alone: the batches without training.
    """

    ours: list[float]
    theirs: list[float]
    ours_alone: list[float]
    theirs_alone: list[float]


def loading(device: torch.device, rounds: int) -> str:
    """Images that are trained on in a second, for each task and each way to load them."""
    rows = []
    for task in LOADED:
        config = compose([f"task={task}", *DATA, *ENDLESS])
        session = Session(config, device)
        epoch_seconds = race_epochs(session, Session(config, device), config["task"], rounds)
        image_count = session.task.batch_size * session.task.steps_per_epoch
        rows.append([task, str(session.task.batch_size)])
        rows[-1] += [f"{image_count / median(seconds):.0f}" for seconds in epoch_seconds]
        # The same images in a shorter time: the inverse ratio of the seconds.
        rows[-1].append(show(ratio(epoch_seconds.theirs, epoch_seconds.ours), decimals=3))
    titles = ["task", "batch", "task's", "DataLoader's", "task's, alone", "DataLoader's, alone"]
    return f"{LOADING_NOTES}\n{markdown([*titles, 'task ÷ DataLoader'], rows)}"


def race_epochs(ours: Session, theirs: Session, task: dict[str, Any], rounds: int) -> EpochSeconds:
    """Seconds of whole epochs, by turns.

    Args:
        ours: trained on the task's batches.
        theirs: an equal session, trained on what a DataLoader gives.
        task: the config of the task.
        rounds: that are counted; one before them warms up and starts the workers.
    """
    batches, steps = loader(theirs.task, task), ours.task.steps_per_epoch
    trained = []
    for round_number in range(rounds + 1):
        # The first is slowed down by what ran before it: each is first in every other round.
        train_ours = partial(bare_steps, ours, steps, ours.task.batch)
        train_theirs = partial(bare_steps, theirs, steps, loader_batches(theirs, batches))
        contenders = [train_ours, train_theirs]
        seconds = [train() for train in (contenders if round_number % 2 else contenders[::-1])]
        trained.append(seconds if round_number % 2 else seconds[::-1])
    # After all training, which would share the processor with workers that are still loading.
    loaded = [
        (
            load_batches(ours, steps, ours.task.batch),
            load_batches(theirs, steps, loader_batches(theirs, batches)),
        )
        for _ in range(rounds)
    ]
    columns = [*zip(*trained[1:], strict=True), *zip(*loaded, strict=True)]
    return EpochSeconds(*map(list, columns))


def loader_batches(session: Session, batches: Any) -> Any:
    """A function of the step that returns the next batch of one epoch of a DataLoader."""
    iterator = epoch(batches, session.device)
    return lambda step: next(iterator)


def load_batches(session: Session, steps: int, batches: Any) -> float:
    """Seconds to put an epoch's batches together on the device, without training on them."""
    wait_for(session.device)
    began = time.perf_counter()
    for step in range(session.step, session.step + steps):
        batches(step)
    wait_for(session.device)
    session.step += steps
    return time.perf_counter() - began


# -- memory ----------------------------------------------------------------------------------------


def memory(device: torch.device, rounds: int) -> str:
    """Bytes of the images that each task holds; measured once, whatever the rounds."""
    rows = []
    for name in LOADED:
        task = Session(compose([f"task={name}", *DATA, *ENDLESS]), device).task
        splits = [images for images, _ in task.images.values()]
        image_count, value_count = sum(map(len, splits)), sum(map(torch.numel, splits))
        byte_count = sum(images.nbytes for images in splits)
        dtypes = ", ".join(sorted({str(images.dtype).removeprefix("torch.") for images in splits}))
        float_tensors = [tensor for tensor in tensors(vars(task)) if tensor.is_floating_point()]
        largest = max((tensor.nbytes for tensor in float_tensors), default=0)
        rows.append([name, str(image_count), str(value_count // image_count), dtypes])
        rows[-1] += [f"{byte_count / 1e6:.2f}", f"{byte_count / value_count:g}"]
        rows[-1].append(f"{largest / 1e6:.2f}")
    titles = ["task", "images", "values of an image", "type", "MB", "bytes of a value"]
    return f"{MEMORY_NOTES}\n{markdown([*titles, 'largest floats, MB'], rows)}"


def tensors(value: Any) -> list[Tensor]:
    """All tensors in nested containers; those of a network are not looked at."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors(item)]
    return []
