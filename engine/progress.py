"""How a run shows that it goes on: a bar on a terminal, a line now and then elsewhere."""

import multiprocessing
import sys
import time
from datetime import timedelta
from typing import Protocol

from engine.console import say, speaks

LINE_SECONDS = 15.0


class Progress(Protocol):
    """What shows that a run goes on."""

    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def close(self) -> None: ...


def progress(title: str, step: int, steps: int) -> Progress:
    """A bar when standard output is a terminal that no other worker writes to, else lines."""
    alone = multiprocessing.current_process().name == "MainProcess" and speaks()
    return Bar(title, step, steps) if alone and sys.stdout.isatty() else Lines(title, steps)


class Bar:
    """A bar with loss, metrics, steps per second and the time left."""

    def __init__(self, title: str, step: int, steps: int):
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        print(title, flush=True)
        columns = [
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[text]}"),
        ]
        self.bar = RichProgress(*columns, transient=True)
        self.task = self.bar.add_task("", total=steps, completed=step, text="", rate="")
        self.bar.start()

    def update(self, step: int, metrics: dict[str, float]) -> None:
        rate = f"{metrics['perf/steps_per_second']:.1f} steps/s"
        # What a terminal of 80 columns has room for.
        shown = {name: value for name, value in metrics.items() if not name.startswith("perf/")}
        text = " ".join(f"{short(name)} {value:.3g}" for name, value in shown.items())
        self.bar.update(self.task, completed=step, rate=rate, text=text)

    def close(self) -> None:
        self.bar.stop()


class Lines:
    """A line every LINE_SECONDS."""

    def __init__(self, title: str, steps: int):
        self.title = title
        self.steps = steps
        self.next_line = time.monotonic() + LINE_SECONDS

    def update(self, step: int, metrics: dict[str, float]) -> None:
        if time.monotonic() < self.next_line:
            return
        self.next_line = time.monotonic() + LINE_SECONDS
        seconds = (self.steps - step) / max(metrics["perf/steps_per_second"], 1e-9)
        left = timedelta(seconds=round(seconds))
        say(f"{self.title}: step {step}/{self.steps}, {describe(metrics)}, {left} left")

    def close(self) -> None:
        pass


def short(name: str) -> str:
    """A metric's name where there is little room: "loss" for "train/recent_loss"."""
    return name.rpartition("/")[2].removeprefix("recent_")


def describe(metrics: dict[str, float]) -> str:
    """For example "train/recent_loss 0.21, test/accuracy 0.93, 48.1 steps/s"."""
    rate = metrics["perf/steps_per_second"]
    shown = [f"{k} {v:.4g}" for k, v in metrics.items() if k != "perf/steps_per_second"]
    return ", ".join([*shown, f"{rate:.1f} steps/s"])
