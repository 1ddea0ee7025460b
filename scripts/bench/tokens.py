"""Tokens trained on in a second by the training loop, and by the Trainer of transformers."""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from engine.config import compose
from engine.loggers import Loggers, RunInfo
from engine.run import Run
from engine.session import Session
from models.transformers_import import transformers
from scripts.bench.bare import ENDLESS
from scripts.bench.loop import loop_steps
from scripts.bench.page import markdown, show
from scripts.bench.race import ratio, wait_for
from tasks.glue import Batch

TASK = ["task=glue", "data=sample", "optim=adamw"]
# Steps of each in a round, and what makes a step on a CPU take less than a second.
WORK = {
    "cpu": (5, ["task.batch_size=8", "task.max_tokens=32"]),
    "cuda": (50, []),
}

NOTES = """\
## Tokens trained on in a second

Steps of `scripts.train` on glue beside steps of transformers' Trainer, with equal encoders,
optimizers (torch's AdamW) and batches, which the task puts together for both. By turns, from the
first step to the end of the last; medians, and in brackets the quartiles of the ratios of one
round. Padding is not counted. The Trainer neither clips, logs nor saves. Target: a ratio of at
least 1.
"""


def report(device: torch.device, rounds: int) -> str:
    """The section of the page, which says so where the Trainer's package is not installed."""
    if not (find_spec("transformers") and find_spec("accelerate")):
        return f"{NOTES}\nNot measured: pip install 'adamily[text,bench]'\n"
    steps, overrides = WORK[device.type]
    loop_seconds, trainer_seconds, tokens = race([*TASK, *overrides], steps, device, rounds)
    rates = [f"{tokens / median(seconds):.0f}" for seconds in (loop_seconds, trainer_seconds)]
    # The same tokens in a shorter time: the inverse ratio of the seconds.
    spread = ratio(trainer_seconds, loop_seconds)
    row = [" ".join(["glue", *overrides]), str(steps), *rates, show(spread, decimals=3)]
    titles = ["task", "steps in a round", "loop", "Trainer", "loop ÷ Trainer"]
    return f"{NOTES}\n{markdown(titles, [row])}"


def race(
    overrides: list[str], steps: int, device: torch.device, rounds: int
) -> tuple[list[float], list[float], float]:
    """Seconds of `steps` steps of the loop and of the Trainer, by turns, and the mean tokens."""
    loop_seconds, trainer_seconds, tokens = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        config = compose([*overrides, *ENDLESS, f"paths.runs={folder}"])
        session, trainer_session = Session(config, device), Session(config, device)
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, {}, {}, run.folder))
        measures = [
            partial(loop_steps, session, steps, run, loggers),
            partial(trainer_steps, trainer_session, steps, Path(folder)),
        ]
        for round_number in range(rounds + 1):
            # The first is slowed down by what ran before it: each is first in every other round.
            forward = bool(round_number % 2)
            seconds = [measure() for measure in (measures if forward else measures[::-1])]
            in_order = seconds if forward else seconds[::-1]
            if round_number > 0:  # the first round warms up
                loop_seconds.append(in_order[0])
                trainer_seconds.append(in_order[1])
                first = round_number * steps
                lengths = (trainer_session.task.batch(first + i)[2] for i in range(steps))
                tokens += sum(int(length.sum()) for length in lengths)
    return loop_seconds, trainer_seconds, tokens / rounds


class Batches(IterableDataset[dict[str, Tensor]]):
    """The next batches of a session in their order, as dictionaries, which the Trainer needs."""

    def __init__(self, session: Session, steps: int):
        self.session, self.steps = session, range(session.step, session.step + steps)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for step in self.steps:
            batch: Batch = self.session.task.batch(step)
            yield dict(zip(("tokens", "types", "lengths", "labels"), batch, strict=True))


class WithLoss(nn.Module):
    """A task's model that returns its loss, as the Trainer needs it."""

    def __init__(self, session: Session):
        super().__init__()
        self.model = session.task.model
        self.task_loss = session.task.loss

    def forward(
        self, tokens: Tensor, types: Tensor, lengths: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        return {"loss": self.task_loss((tokens, types, lengths, labels))}


def trainer_steps(session: Session, steps: int, folder: Path) -> float:
    """Seconds for that many steps of a Trainer, from the first to the end of the last."""
    library, optimizer = transformers(), session.optimizer
    began = 0.0

    class Clock(library.TrainerCallback):
        """Notes when the first step begins."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            nonlocal began
            if state.global_step == 0:
                wait_for(session.device)
                began = time.perf_counter()

    trainer = library.Trainer(
        WithLoss(session),
        library.TrainingArguments(
            output_dir=str(folder / "trainer"),
            max_steps=steps,
            per_device_train_batch_size=1,  # an item of the data set is a batch
            max_grad_norm=0.0,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=session.device.type == "cpu",
            remove_unused_columns=False,
            dataloader_pin_memory=False,  # the batches are on the device
        ),
        data_collator=lambda items: items[0],
        train_dataset=Batches(session, steps),
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        callbacks=[Clock()],
    )
    trainer.remove_callback(library.PrinterCallback)
    trainer.train()
    wait_for(session.device)
    seconds = time.perf_counter() - began
    session.step += steps
    return seconds
