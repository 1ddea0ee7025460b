"""The page while a sweep goes on: written anew at most once a minute, by a process of low priority.

A report over many runs takes longer than a run's step, and more memory: the sweep itself waits for
neither. The file is replaced as a whole, so that a process that is stopped leaves the last one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import packages, search_path
from engine.checks import BadInput
from results.plan import find, plan
from results.write import hash_of, write_page

SECONDS = 60.0
# The part of the time that is spent on the page at most.
SHARE = 0.1
LOWEST_PRIORITY = 19
STOP_SECONDS = 5.0


class LivePage:
    """Starts the other process.

    Args:
        arguments: of `results.plan.plan`, with the study's name for the study.
        progress: a number that changes when there is something new to show.
    """

    def __init__(self, arguments: list[Any], progress: Callable[[], int]):
        folders = [str(folder) for folder in search_path.named()]
        self._argument = json.dumps({"plan": arguments, "folders": folders})
        self._progress = progress
        self._shown = progress()
        self._child: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._next = self._began + SECONDS

    def look(self) -> None:
        """Start it where it is time to and something has changed."""
        if self._child is not None:
            if self._child.poll() is None:
                return
            took = time.monotonic() - self._began
            self._child, self._next = None, self._began + max(SECONDS, took / SHARE)
        if time.monotonic() < self._next or self._progress() == self._shown:
            return
        self._shown, self._began = self._progress(), time.monotonic()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "results.live", self._argument],
            env=os.environ | packages.for_children(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the sweep, which stops it
        )

    def stop(self) -> None:
        """Stop the process, if it is at work: the sweep writes the page itself at its end."""
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)  # at which it leaves no half-written file
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()


def main() -> None:
    with suppress(OSError):  # it has the lowest already
        os.nice(LOWEST_PRIORITY)
    arguments = json.loads(sys.argv[1])
    search_path.use(arguments["folders"])
    name, *others = arguments["plan"]
    with suppress(BadInput, OSError):  # which the sweep says at its end
        swept = plan(find(name), *others, trains=False)
        paths = swept.runs[0].config["paths"]
        runs, reports = Path(paths["runs"]), Path(paths["reports"])
        source = hash_of(runs)
        write_page(swept, swept.read(), source, runs, reports)


if __name__ == "__main__":
    main()
