"""The training loop, the same for every task and every optimizer.

It can stop after any step and be resumed exactly: all that the next step depends on is in
`Session.state_dict`.
"""

import math
import time
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from engine import interrupt, parallel
from engine.loggers import Loggers
from engine.optimizers import members
from engine.progress import Progress
from engine.run import Run
from engine.session import Session
from optim import Observer

Outcome = Literal["finished", "diverged", "paused", "interrupted"]

# How often a run looks at its losses, shows where it is, and asks whether its sweep was stopped.
TICK_SECONDS = 1.0


def train(session: Session, run: Run, loggers: Loggers, progress: Progress) -> Outcome:
    """Train from the session's step to the end of the budget, or to where the run is to pause.

    Returns:
        How that ended.
    """
    task, optimizer, schedule = session.task, session.optimizer, session.schedule
    losses = session.losses
    checkpoint_seconds = session.config["train"]["checkpoint_seconds"]
    ticked = checkpointed = time.monotonic()
    ticked_step = session.step
    pause_at = session.config["train"]["pause_at"]
    last_step = math.ceil(pause_at * task.steps) if pause_at else task.steps
    session.clock.start(session.step)

    if session.config["eval_first"] and session.step == 0:
        with session.not_training():
            record(session, run, loggers, session.evaluate_first())
        if not session.evaluations.all_finite:
            return "diverged"

    while session.step < last_step:
        evaluating = (session.step + 1) % task.eval_every == 0 or session.step + 1 == task.steps

        batch = task.batch(session.step)
        with Observer(*members(optimizer)) if evaluating else nullcontext() as observer:
            loss = step(session, batch)
        optimizer.zero_grad()
        task.after_step(session.step)
        losses.add(loss)
        session.step += 1

        if observer is not None:
            if losses.any_not_finite():
                break
            with session.not_training():
                run.record_losses(session.kept_losses())
                record(session, run, loggers, session.evaluate(observer))
            if any(parallel.all_reduce_max(not session.evaluations.all_finite or task.done)):
                break
        schedule.step()

        now = time.monotonic()
        ticking, saving, signum = parallel.all_reduce_max(
            now - ticked >= TICK_SECONDS,
            now - checkpointed >= checkpoint_seconds or task.context.checkpoint_requested,
            interrupt.received() or 0,
        )
        if ticking:
            if losses.any_not_finite():
                break
            rate = (session.step - ticked_step) / (now - ticked)
            live = {"train/recent_loss": losses.recent(), "perf/steps_per_second": rate}
            if task.frames_per_step:
                live["perf/frames_per_second"] = rate * task.frames_per_step
            with session.not_training():
                loggers.log(live, session.step)
                progress.update(session.step, live | session.evaluations.headline(task))
            ticked, ticked_step = now, session.step
            interrupt.check_sweep_stopped()
        if saving or signum:
            with session.not_training():
                session.save(run)
            checkpointed = now
            if signum and session.step < task.steps:
                interrupt.stop(signum)
                return "interrupted"

    if not session.evaluations.all_finite or losses.any_not_finite():
        run.record_losses(session.kept_losses())
        return "diverged"
    if task.done or session.step == task.steps:
        return "finished"
    with session.not_training():
        session.pause(run, pause_at)
    return "paused"


def record(session: Session, run: Run, loggers: Loggers, metrics: dict[str, float]) -> None:
    """Keep and log an evaluation's metrics, and what it left to be looked at."""
    run.record(session.step, metrics)
    loggers.log(metrics, session.step)
    for name, content in session.artifacts():
        loggers.show(run.keep_artifact(session.step, name, content), session.step)


def step(session: Session, batch: Any) -> Tensor:
    """Take an optimizer step; return the batch's loss before it, still on the device."""
    if session.needs_closure:
        closure = Closure(session, batch)
        session.optimizer.step(closure)
        return closure.losses[0]
    loss = gradient(session, batch)
    session.scaler.step(session.optimizer)
    session.scaler.update()
    return loss


class Closure:
    """Computes a batch's loss and gradient anew in each call, with new dropout masks.

    Attributes:
        losses: of the calls so far, on this process's shard.
    """

    def __init__(self, session: Session, batch: Any):
        self.session, self.batch = session, batch
        self.losses: list[Tensor] = []

    @torch.enable_grad()
    def __call__(self) -> Tensor:
        self.session.optimizer.zero_grad()
        self.losses.append(gradient(self.session, self.batch))
        # An optimizer decides by it whether to go on: it must be the same in all processes.
        return parallel.all_reduce_mean(self.losses[-1])


def gradient(session: Session, batch: Any) -> Tensor:
    """As `backward`, with the gradient clipped if the run's config says so."""
    loss = backward(session, batch)
    if (clip_norm := session.config["clip_norm"]) is not None:
        session.scaler.unscale_(session.optimizer)
        torch.nn.utils.clip_grad_norm_(session.parameters, clip_norm)
    return loss


def backward(session: Session, batch: Any) -> Tensor:
    """Put the batch's gradient into the parameters; return its loss, still on the device."""
    accumulate = session.config["accumulate"]
    micro_batches = parallel.shards(session.task, batch, accumulate)
    losses = []
    for micro_batch, weight in micro_batches:
        last = len(losses) == len(micro_batches) - 1
        with session.autocast(), nullcontext() if last else parallel.no_sync(session.loss):
            loss = session.loss(micro_batch) * weight
        session.scaler.scale(loss).backward()
        losses.append(loss.detach())
    return losses[0] if accumulate == 1 else torch.stack(losses).sum()
