"""Train one optimizer on one task, and keep the run: `python -m scripts.train task=T optim=O`.

The loop is the same for every task. It can stop after any step and go on from there as if it had
never stopped: all that the next step depends on is in `Session.state_dict`.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from torch import Tensor

from optim import Observer
from results.loggers import Loggers
from results.run import Run
from results.study import spell
from scripts import distributed, interrupt, world
from scripts.checks import BadInput
from scripts.config import CONF, compose, hydra_of, resolved
from scripts.console import log_to_console, refuse
from scripts.execute import execute
from scripts.flags import only_shows, read_flags
from scripts.launch import launcher_settings, say_how, trains_here
from scripts.overrides import expand, is_hydras
from scripts.paths import quote_paths
from scripts.progress import Progress
from scripts.ready import check_ready, check_records, leave, prepare
from scripts.rounds import run_all
from scripts.session import Session
from scripts.torchrun import by_torchrun
from tasks.sources import DataError

# How often a run looks at its losses, shows where it is, and asks whether its sweep was stopped.
TICK_SECONDS = 1.0

# What Hydra calls a place of YAML files that came with --config-dir.
TYPED = "hydra.searchpath in command-line"


def train(
    session: Session, run: Run, loggers: Loggers, progress: Progress
) -> Literal["finished", "diverged", "interrupted"]:
    """Train from wherever the session stands to the end of the budget; return how that went."""
    task, optimizer, schedule = session.task, session.optimizer, session.schedule
    scaler, losses = session.scaler, session.losses
    clip_norm = session.config["clip_norm"]
    checkpoint_seconds = session.config["train"]["checkpoint_seconds"]
    ticked = checkpointed = time.monotonic()
    ticked_step = session.step

    while session.step < task.steps:
        evaluating = (session.step + 1) % task.eval_every == 0 or session.step + 1 == task.steps

        loss = backward(session, task.batch(session.step))
        if clip_norm is not None:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(session.parameters, clip_norm)
        with Observer(optimizer) if evaluating else nullcontext() as seen:
            scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        task.after_step(session.step)
        losses.add(loss)
        session.step += 1

        if seen is not None:
            if losses.any_not_finite():
                break
            with session.not_training():
                metrics = session.evaluate(seen)
                run.record(session.step, metrics)
                loggers.log(metrics, session.step)
                if task.video is not None:
                    loggers.show(run.keep_video(session.step, task.video), session.step)
            if any(distributed.agree(not session.sound or task.done)):
                break
        schedule.step()

        now = time.monotonic()
        ticking, saving, signum = distributed.agree(
            now - ticked >= TICK_SECONDS,
            now - checkpointed >= checkpoint_seconds or task.checkpoint_due,
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
                progress.update(session.step, live | session.shown())
            ticked, ticked_step = now, session.step
            interrupt.heed_sweep()
        if saving or signum:
            with session.not_training():
                session.save(run)
            checkpointed = now
            if signum and session.step < task.steps:
                interrupt.stop(signum)
                return "interrupted"

    return "finished" if session.sound and not losses.any_not_finite() else "diverged"


def backward(session: Session, batch: Any) -> Tensor:
    """Put the batch's gradient into the parameters; return its loss, still on the device."""
    parts = session.config["accumulate"]
    pieces = distributed.shares(session.task, batch, parts)
    losses = []
    for piece, weight in pieces:
        last = len(losses) == len(pieces) - 1
        with session.autocast(), nullcontext() if last else distributed.alone(session.loss):
            loss = session.loss(piece) * weight
        session.scaler.scale(loss).backward()
        losses.append(loss.detach())
    return losses[0] if parts == 1 else torch.stack(losses).sum()


# -- the command -----------------------------------------------------------------------------------


def job(cfg: DictConfig) -> str:
    """What Hydra runs, here or in a launcher's worker, for one run."""
    with interrupt.in_run():
        return carry_out(cfg)


def carry_out(cfg: DictConfig) -> str:
    log_to_console()
    hydra_config = HydraConfig.get()
    config = resolved(cfg, hydra_config.runtime.choices)
    launcher = hydra_config.runtime.choices["hydra/launcher"]
    many = hydra_config.mode == RunMode.MULTIRUN
    shared = many and launcher in ("basic", "joblib")
    if many and config["sweep"]["devices_per_run"] > 1:
        places = [s.path for s in hydra_config.runtime.config_sources if s.provider == TYPED]
        arguments = [*hydra_config.overrides.task, *(f"--config-dir={path}" for path in places)]
        return by_torchrun(config, arguments, share_devices=shared)
    return execute(config, train, share_devices=shared)


app = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)


def main() -> None:
    """The command `python -m scripts.train`, a Hydra app that checks before it runs anything."""
    log_to_console()
    quote_paths()
    interrupt.end_with_parent()  # of a sweep's torchrun
    try:
        typed = read_flags(sys.argv[1:])
        shows = only_shows(typed)
        if not shows:
            world.check()
            if world.rank() > 0:
                distributed.join()  # as soon as the first process has found nothing wrong
        expanded = [] if typed.shell_completion else expanded_by(typed)
        configs = [compose(overrides, place_of(typed)) for overrides in expanded]
        if not shows:
            settings = settings_of(typed, configs)
            check_records(configs)
            check_ready(configs, not typed.multirun or trains_here(typed.overrides))
            prepare(configs)
            if typed.multirun:
                say_how(typed.overrides, configs[0], len(configs))
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    if shows:
        app()
        return
    distributed.join()
    runs = [Run(config["paths"]["runs"], config) for config in configs]
    with interrupt.told_to_workers():
        if typed.multirun:
            run_all(job, settings, list(zip(runs, expanded, strict=True)))
        else:
            app()
    leave(runs)


def place_of(typed: argparse.Namespace) -> Path | None:
    """Hydra's --config-dir is one more place of YAML files."""
    return Path(typed.config_dir).resolve() if typed.config_dir else None


def expanded_by(typed: argparse.Namespace) -> list[list[str]]:
    """The overrides of all runs that a command line asks for."""
    if typed.multirun:
        distributed.check_one_run("-m")
    with hydra_of(place_of(typed)) as hydra:
        return expand(typed.overrides, hydra.config_loader, typed.multirun)


def settings_of(typed: argparse.Namespace, configs: Sequence[dict[str, Any]]) -> list[str]:
    """What the launcher of several runs is told."""
    if not typed.multirun:
        return []
    place, (config, *_), count = place_of(typed), configs, len(configs)
    settings = [f"hydra.searchpath={spell([f'file://{place}'])}"] if place else []
    settings += [override for override in typed.overrides if is_hydras(override)]
    settings += launcher_settings(typed.overrides, config, count)
    return settings


if __name__ == "__main__":
    # By its own name, so that workers find `job` there.
    from scripts.train import main

    main()
