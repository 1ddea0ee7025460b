"""Tokens trained on in a second by the training loop, and by a loop built as nanoGPT's."""

import tempfile
import time
from functools import partial
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.config import compose
from engine.loggers import Loggers, RunInfo
from engine.run import Run
from engine.session import Session
from scripts.bench.bare import ENDLESS
from scripts.bench.loop import loop_steps
from scripts.bench.page import markdown, show
from scripts.bench.race import ratio, wait_for
from tasks.gpt import Gpt

TASK = ["task=gpt", "data=sample", "optim=adamw", "clip_norm=1.0"]
# Steps of each loop in a round.
STEPS = {"cpu": 10, "cuda": 100}

NOTES = """\
## Tokens of a decoder-only transformer trained on in a second

Steps of `scripts.train` on gpt beside steps of a loop that is built as nanoGPT's: windows from
random places of the text, cut one by one and put on the device, the learning rate set at each
step, the gradient clipped at 1. Networks, optimizers (torch's fused AdamW) and sizes of batches are
equal. By turns; medians, and in brackets the quartiles of the ratios of one round. Target: a ratio
of at least 1.
"""


def report(device: torch.device, rounds: int) -> str:
    """The section of the page."""
    steps = STEPS[device.type]
    loop_seconds, nano_seconds, tokens = race(TASK, steps, device, rounds)
    rates = [f"{tokens / median(seconds):.0f}" for seconds in (loop_seconds, nano_seconds)]
    # The same tokens in a shorter time: the inverse ratio of the seconds.
    spread = ratio(nano_seconds, loop_seconds)
    titles = ["task", "steps in a round", "loop", "built as nanoGPT's", "loop ÷ nanoGPT's"]
    return f"{NOTES}\n{markdown(titles, [['gpt', str(steps), *rates, show(spread, decimals=3)]])}"


def race(
    overrides: list[str], steps: int, device: torch.device, rounds: int
) -> tuple[list[float], list[float], int]:
    """Seconds of `steps` steps of both loops, by turns, and the tokens of these."""
    loop_seconds, nano_seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        config = compose([*overrides, *ENDLESS, f"paths.runs={folder}"])
        session, nano_session = Session(config, device), Session(config, device)
        task = session.task
        assert isinstance(task, Gpt)
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, {}, {}, run.folder))
        measures = [
            partial(loop_steps, session, steps, run, loggers),
            partial(nano_steps, nano_session, steps),
        ]
        for round_number in range(rounds + 1):
            # The first is slowed down by what ran before it: each is first in every other round.
            forward = bool(round_number % 2)
            seconds = [measure() for measure in (measures if forward else measures[::-1])]
            in_order = seconds if forward else seconds[::-1]
            if round_number > 0:  # the first round warms up
                loop_seconds.append(in_order[0])
                nano_seconds.append(in_order[1])
    return loop_seconds, nano_seconds, steps * task.batch_size * task.context_tokens


def nano_steps(session: Session, steps: int) -> float:
    """Seconds for that many steps of such a loop."""
    task, optimizer, device = session.task, session.optimizer, session.device
    assert isinstance(task, Gpt)
    text = task.rows["train"]
    rates = [group["lr"] for group in optimizer.param_groups]
    wait_for(device)
    began = time.perf_counter()
    tokens, targets = windows(text, task, device)
    for step in range(steps):
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        with session.autocast():
            logits = task.model(tokens)
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))
        # As there: the next batch is put together while the device computes.
        if step + 1 < steps:
            tokens, targets = windows(text, task, device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    wait_for(device)
    session.step += steps
    return time.perf_counter() - began


def windows(text: np.ndarray, task: Gpt, device: torch.device) -> tuple[Tensor, Tensor]:
    """Windows from random places, each cut by itself: tokens and those that follow them."""
    length = task.context_tokens
    firsts = torch.randint(len(text) - length, (task.batch_size,)).tolist()
    tokens, targets = (
        torch.stack(
            [
                torch.from_numpy(text[i + shift : i + shift + length].astype(np.int64))
                for i in firsts
            ]
        )
        for shift in (0, 1)
    )
    if device.type == "cpu":
        return tokens, targets
    tokens, targets = (
        tensor.pin_memory().to(device, non_blocking=True) for tensor in (tokens, targets)
    )
    return tokens, targets
