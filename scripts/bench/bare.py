"""Steps of a task with nothing around them."""

import time
from collections.abc import Callable
from typing import Any

from engine.session import Session
from scripts.bench.race import wait_for

TASK = ["task=mnist_fc2", "data=sample"]

# A run that nobody logs and whose end, where it would be evaluated, is never reached.
ENDLESS = ["logger=none", "task.steps=1000000", "task.eval_every=1000000"]


def bare_steps(session: Session, steps: int, batches: Callable[[int], Any]) -> float:
    """Seconds for that many steps with nothing around them.

    Args:
        session: whose network is trained.
        steps: to take.
        batches: gives what a step trains on, by the number of the step.
    """
    task, optimizer = session.task, session.optimizer
    wait_for(session.device)
    began = time.perf_counter()
    for step in range(session.step, session.step + steps):
        with session.autocast():
            loss = task.loss(batches(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    wait_for(session.device)
    session.step += steps
    return time.perf_counter() - began
