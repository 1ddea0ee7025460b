"""The progress of a run: a bar on a terminal or in a notebook, lines elsewhere."""

import multiprocessing
import sys
import time
from datetime import timedelta
from html import escape
from typing import Protocol

from engine.console import is_rank_zero, say

LINE_SECONDS = 15.0


class Progress(Protocol):
    """A display of a run's progress."""

    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def close(self) -> None: ...


def progress(title: str, step: int, steps: int) -> Progress:
    """A bar in a notebook or on a terminal that no other process writes to, else lines."""
    may_draw = multiprocessing.current_process().name == "MainProcess" and is_rank_zero()
    if may_draw and in_notebook():
        return Cell(title, step, steps)
    return Bar(title, step, steps) if may_draw and sys.stdout.isatty() else Lines(title, steps)


def in_notebook() -> bool:
    """Whether this process has a kernel, as Jupyter's; IPython on a terminal has none."""
    # In a notebook it is imported already, and elsewhere its import would take time.
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


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
        # Only what fits into 80 columns.
        shown = {name: value for name, value in metrics.items() if not name.startswith("perf/")}
        text = " ".join(f"{short(name)} {value:.3g}" for name, value in shown.items())
        self.bar.update(self.task, completed=step, rate=rate, text=text)

    def close(self) -> None:
        self.bar.stop()


class Cell:
    """A bar and a line below a notebook's cell, which are updated, and removed when the run ends.

    Rich's own bar needs ipywidgets there, and shows nothing before its end without them.
    """

    def __init__(self, title: str, step: int, steps: int):
        from IPython.display import display

        self.title, self.steps = title, steps
        self.output = display(self.contents(step, title), raw=True, display_id=True)

    def update(self, step: int, metrics: dict[str, float]) -> None:
        text = progress_line(self.title, step, self.steps, metrics)
        self.output.update(self.contents(step, text), raw=True)

    def close(self) -> None:
        self.output.update({"text/plain": "", "text/html": ""}, raw=True)

    def contents(self, step: int, text: str) -> dict[str, str]:
        """The output by MIME type; a frontend takes the best one that it can show."""
        bar = f"<progress value='{step}' max='{self.steps}'></progress>"
        return {"text/plain": text, "text/html": f"{bar} {escape(text)}"}


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
        say(progress_line(self.title, step, self.steps, metrics))

    def close(self) -> None:
        pass


def short(name: str) -> str:
    """A short form of a metric's name: "loss" for "train/recent_loss"."""
    return name.rpartition("/")[2].removeprefix("recent_")


def progress_line(title: str, step: int, steps: int, metrics: dict[str, float]) -> str:
    """A run's step and metrics, and the time that is left."""
    seconds = (steps - step) / max(metrics["perf/steps_per_second"], 1e-9)
    remaining = timedelta(seconds=round(seconds))
    return f"{title}: step {step}/{steps}, {metrics_text(metrics)}, {remaining} left"


def metrics_text(metrics: dict[str, float]) -> str:
    """For example "train/recent_loss 0.21, test/accuracy 0.93, 48.1 steps/s"."""
    rate = metrics["perf/steps_per_second"]
    shown = [f"{k} {v:.4g}" for k, v in metrics.items() if k != "perf/steps_per_second"]
    return ", ".join([*shown, f"{rate:.1f} steps/s"])
