"""The time that a full replay memory takes: to draw a batch, to set priorities, to be saved."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from engine import checkpoint
from scripts.bench.page import markdown
from tasks.atari.prioritised import PrioritisedReplay
from tasks.q_learning.game import ENDED, GOES_ON
from tasks.q_learning.replay import Replay
from tasks.sources import DataError

CAPACITY = 1_000_000
EPISODE = 500  # steps
BATCH = 32
DRAWS = 500
ADDED = 20_000  # transitions before the last save


def report() -> str:
    """The section of the page, which says so where the disk is too small for the memory."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = measure(Path(folder))
        except DataError as error:
            return f"{notes()}\nNot measured: {error}\n"
    return f"{notes()}\n{markdown(['what', 'measured'], rows)}"


def notes() -> str:
    return f"""\
## The replay memory

A full memory of {CAPACITY:,} transitions of one game, with frames of 84×84 pixels in files, of
which the system keeps in RAM what has room there. Medians of {DRAWS} batches of {BATCH}, after
as many that are not counted. Priorities are drawn from and set in the tree alone; a prioritised
batch is both, with importance weights and transitions. A save is a checkpoint of the memory and
nothing else, written through to the disk.
Targets: a uniform batch in 0.3 ms, priorities in 0.5 ms, saves in seconds, frames in 7.5 GB.
"""


def measure(folder: Path) -> list[list[str]]:
    """The rows of the table; the memory lies in this folder."""
    frames = folder / checkpoint.FILES
    memory = PrioritisedReplay(
        replace="oldest",
        seed=0,
        capacity=CAPACITY,
        environments=1,
        budget=2 * CAPACITY,
        n_step=1,
        gamma=0.99,
        shape=(84, 84),
        dtype=np.uint8,
        stack=4,
        folder=frames,
    )
    add(memory, CAPACITY + EPISODE)
    initial = save(memory, folder)
    unchanged = save(memory, folder)
    add(memory, ADDED)
    after_adding = save(memory, folder)
    random = np.random.default_rng(0)

    def uniform() -> None:
        memory.transitions(Replay.draw(memory, random, BATCH))

    def priorities() -> None:
        memory.prioritise(memory.draw(random, BATCH), random.random(BATCH))

    def prioritised() -> None:
        slots = memory.draw(random, BATCH)
        memory.weights(slots, beta=0.5)
        memory.transitions(slots)
        memory.prioritise(slots, random.random(BATCH))

    file_bytes = sum(path.stat().st_size for path in frames.glob("*"))
    return [
        ["a batch, uniform", milliseconds(uniform)],
        ["priorities drawn and set", milliseconds(priorities)],
        ["a batch, prioritised", milliseconds(prioritised)],
        ["save, all frames new", f"{initial:.2f} s"],
        ["save, no frame new", f"{unchanged:.2f} s"],
        [f"save, {ADDED:,} frames new", f"{after_adding:.2f} s"],
        ["frames on the disk", f"{file_bytes / 1e9:.2f} GB"],
    ]


def add(memory: PrioritisedReplay, transitions: int) -> None:
    """Add that many transitions of noise, in episodes of EPISODE steps."""
    frames = np.random.default_rng(0).integers(0, 256, (64, 1, *memory.shape), dtype=np.uint8)
    zeros = np.zeros(1)
    for index in range(transitions):
        ends = np.array([GOES_ON if index % EPISODE else ENDED])
        memory.add(frames[index % len(frames)], zeros, zeros, ends)


def save(memory: PrioritisedReplay, folder: Path) -> float:
    """Seconds for a checkpoint."""
    began = time.perf_counter()
    checkpoint.save(folder, "bench", memory.state_dict())
    memory.saved()
    return time.perf_counter() - began


def milliseconds(action: Callable[[], None]) -> str:
    """The median time of an action, after as many uncounted ones that warm the caches."""
    for _ in range(DRAWS):
        action()
    times = []
    for _ in range(DRAWS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return f"{median(times) * 1e3:.2f} ms"
