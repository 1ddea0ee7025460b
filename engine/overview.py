"""One line on all runs of a sweep: "37/100 runs, 2 diverged, about 14 min left".

It is read from their folders, and so the same for every launcher, wherever the workers are.
"""

import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

from engine.record_files import ENDED, Damaged, read_summary
from engine.run import Run, modified_at

LOOK_SECONDS = 1.0
# Between two lines where each stays, as in a file.
LINE_SECONDS = 60.0
# What is nearly through by its estimate may take longer.
MOST_CREDIT = 0.95

UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


@contextmanager
def watching(*looks: Callable[[], None]) -> Iterator[None]:
    """Call these functions, about once a second, in a thread of its own while the block goes on."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            for look in looks:
                look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Overview:
    """How far some runs are.

    Args:
        runs: all of them, those included that ended before.
        in_place: whether the line is drawn over itself, as on a terminal, and does not stay.
    """

    def __init__(self, runs: Sequence[Run], in_place: bool):
        self.count = len(runs)
        self.in_place = in_place
        self.statuses: Counter[str] = Counter()
        self._began = time.time()
        self._at_a_time = 1
        self._said_at = time.monotonic()
        self._said = ""
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._open = {run.id: run for run in runs}
        self._count_ended()

    def look(self) -> None:
        """Look at the folders, and show the line where it is time to."""
        if not self.in_place and time.monotonic() - self._said_at < LINE_SECONDS:
            return
        self._count_ended()
        text = self.text()
        if text != self._said:
            self._said, self._said_at = text, time.monotonic()
            # The cursor goes back to the line's beginning: what a worker prints takes its place.
            print(f"\x1b[2K{text}\r" if self.in_place else text, end="\n"[self.in_place :])
            sys.stdout.flush()

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self.in_place:
            print("\x1b[2K", end="", flush=True)

    @property
    def ended(self) -> int:
        """How many runs are not open any more."""
        return self.count - len(self._open)

    def text(self) -> str:
        parts = [f"{self.ended}/{self.count} runs"]
        parts += [f"{n} {s}" for s in ("diverged", "failed") if (n := self.statuses[s])]
        seconds = self._seconds_left()
        return ", ".join(parts + ([] if seconds is None else [f"about {spoken(seconds)} left"]))

    def _count_ended(self) -> None:
        for run in list(self._open.values()):
            status, seconds = how_ended(run)
            if status is None or (status not in (*ENDED, "paused") and self._is_old(run)):
                continue
            del self._open[run.id]
            self.statuses[status] += 1
            if seconds is not None:
                for kind in kinds_of(run):
                    self._seconds[kind].append(seconds)

    def _is_old(self, run: Run) -> bool:
        """Whether a run failed before: it is tried again."""
        return modified_at(run.folder / "summary.json") < self._began * 1e9

    def _seconds_left(self) -> float | None:
        """By the mean time of ended runs like each that is open, and how many train at a time."""
        if not self._seconds or not self._open:
            return None
        work, training = 0.0, 0
        for run in self._open.values():
            estimate = fmean(next(self._seconds[k] for k in kinds_of(run) if k in self._seconds))
            began = modified_at(run.folder / "environment.json") / 1e9
            if began >= self._began:
                training += 1
                estimate -= min(time.time() - began, MOST_CREDIT * estimate)
            work += estimate
        # Between two runs, a worker has none for a moment.
        self._at_a_time = max(training, self._at_a_time)
        return work / min(self._at_a_time, len(self._open))


def how_ended(run: Run) -> tuple[str | None, float | None]:
    """A run's status and how long it took; None while it is open."""
    if not (run.folder / "summary.json").exists():
        paused = bool(run.config["train"].get("pause_at")) and run.done
        return ("paused" if paused else None), None
    try:
        summary = read_summary(run.folder) or {}
    except Damaged:  # which is said where it is read for its results
        return None, None
    return summary.get("status"), summary.get("wall_seconds")


def kinds_of(run: Run) -> list[tuple[str, ...]]:
    """What runs may have in common that take about as long, the likest first."""
    names: dict[str, Any] = run.config["names"]
    return [(names["task"], names["optim"]), (names["task"],), ()]


def spoken(seconds: float) -> str:
    """A time as it is spoken of: "14 min"."""
    size, unit = next((unit for unit in UNITS if seconds >= 2 * unit[0]), UNITS[-1])
    return f"{max(1, round(seconds / size))} {unit}"
