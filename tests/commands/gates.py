"""Runs that wait where a test wants to meet them, so that it need not catch them by the clock."""

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine import checkpoint, execute, interrupt, world


@dataclass(frozen=True)
class Gate:
    """A folder by which the processes of runs say that they wait, and learn that they need not.

    It opens by itself once `room` of them have come.
    """

    folder: Path
    room: int | None = None

    def wait(self):
        """Wait, in a process that trains, until the gate is opened or the run is told to stop."""
        mark = self.folder / f"{os.getpid()}.{world.rank()}"
        mark.touch()
        if self.room is not None and len(self.waiting) >= self.room:
            self.open()
        while not (self.folder / "open").exists() and interrupt.received() is None:
            time.sleep(0.01)
            interrupt.check_sweep_stopped()
        mark.unlink()

    def open(self):
        (self.folder / "open").touch()

    @property
    def waiting(self):
        """The processes that wait, or died waiting, and the rank of each in its run."""
        marks = [path.name.split(".") for path in self.folder.glob("*.*")]
        return {int(process): int(rank) for process, rank in marks}


# -- where a command that a test forks waits, as `start("train", …, hold=in_step(30))` -------------


def in_step(done, saves=()):
    """Within the step after `done` others, of which the last one's checkpoint is written, if due.

    Checkpoints are due after `saves`, too.
    """
    return partial(_hold_in_step, done=done, saves=saves)


def in_save(done, place):
    """While the checkpoint of `done` steps is written: before its file has its checksum ("whole"),
    or before a file gets the name `place`.
    """
    return partial(_hold_in_save, done=done, place=place)


def _hold_in_step(gate, done, saves):
    train = execute.train

    def held(session, *others):
        task, after_step = session.task, session.task.after_step

        def after(step):
            after_step(step)
            if step == done:
                gate.wait()
            if step + 1 in saves:
                task.context.checkpoint_requested = True

        task.after_step = after
        return train(session, *others)

    execute.train = held


def _hold_in_save(gate, done, place):
    save, replace, digest = checkpoint.save, os.replace, checkpoint.HashingFile.digest

    def waiting_digest(hashing):
        if place == "whole":
            gate.wait()
        return digest(hashing)

    def waiting_replace(source, target):
        if Path(target).name == place:
            gate.wait()
        replace(source, target)

    def held(folder, run_id, state):
        if state["step"] == done:
            os.replace, checkpoint.HashingFile.digest = waiting_replace, waiting_digest
        save(folder, run_id, state)

    checkpoint.save = held
