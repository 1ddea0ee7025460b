"""The protocol of a logger, several loggers as one, and what all of them need."""

import importlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from engine.loggers.info import RunInfo

_log = logging.getLogger("adamily")


Metrics = Mapping[str, float | None]


@runtime_checkable
class Logger(Protocol):
    """One tracker. Any of the calls may raise; `Loggers` then drops it.

    A run that starts at step 0 replaces what the tracker has of the same id.
    """

    def start(self, info: RunInfo) -> None: ...

    def log(self, metrics: Metrics, step: int) -> None: ...

    def show(self, artifact: Path, step: int) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Dashboard(Logger, Protocol):
    """A tracker to which runs that ended before can be sent."""

    def logged(self, folders: Iterable[Path]) -> set[str]:
        """The ids of those runs, by their folders, that it has to their end."""
        ...

    def opened(self, runs: Path) -> str:
        """A sentence on how to look at the runs of a folder of runs."""
        ...


class Loggers:
    """Several loggers as one, none of which can end the run.

    After the first exception of a logger, there is one warning and that logger is dropped.

    Args:
        loggers: not started yet; may be empty. They are started by the first call, since importing
            a tracker can take longer than the first steps of training.
        info: describes the run; each logger is started with it.
    """

    def __init__(self, loggers: Sequence[Logger], info: RunInfo):
        self._loggers = list(loggers)
        self._info = info
        self._started = False

    def log(self, metrics: Metrics, step: int) -> None:
        """Send the metrics after `step` optimizer steps; None means no value and is left out."""
        self._call("log", metrics, step)

    def show(self, artifact: Path, step: int) -> None:
        """Send a picture (PNG) or video (GIF) of the evaluation after `step` steps.

        Artifacts of other types are in the run's folder only.
        """
        if is_shown(artifact):
            self._call("show", artifact, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Send how the run ended, and close; calls after this one do nothing.

        Args:
            summary: as `engine.loggers.info.ending` returns it, {"status": "finished" |
                "diverged" | "failed" | "paused" | "interrupted", "final": {metric: value},
                "best": {metric: {"value": value, "step": step}}, "wall_seconds": seconds, …}.
        """
        self._call("finish", summary)
        self._loggers = []

    def _call(self, method: str, *args: Any) -> None:
        if not self._started:
            self._started = True
            self._call("start", self._info)
        for logger in list(self._loggers):
            try:
                getattr(logger, method)(*args)
            except Exception as error:
                self._loggers = [other for other in self._loggers if other is not logger]
                _log.warning(
                    "The run goes on without %s, which failed to %s: %s",
                    type(logger).__name__,
                    method,
                    describe(error),
                )


def flatten(summary: Mapping[str, Any]) -> dict[str, float | str]:
    """A run's summary as one level: status, wall_seconds, final/M, best/M and best_step/M.

    Other entries are kept where they are a number or a string; None is left out.
    """
    flat = {name: value for name, value in summary.items() if isinstance(value, int | float | str)}
    for metric, value in summary.get("final", {}).items():
        flat[f"final/{metric}"] = value
    for metric, best in summary.get("best", {}).items():
        flat[f"best/{metric}"] = best["value"]
        flat[f"best_step/{metric}"] = best["step"]
    return {name: value for name, value in flat.items() if value is not None}


def is_shown(artifact: Path) -> bool:
    """Whether trackers are sent it: a picture or a video."""
    return artifact.suffix in (".png", ".gif")


def title_of(artifact: Path) -> str:
    """An artifact's name in dashboards: "artifacts/game" for 000000500.game.gif at any step."""
    return f"artifacts/{artifact.stem.partition('.')[2]}"


def describe(error: Exception) -> str:
    """An error's type and its message's first line, without credentials that it may quote."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    for name, value in os.environ.items():
        if re.search("KEY|TOKEN|SECRET|PASSWORD", name) and len(value) >= 8:
            text = text.replace(value, "***")
    return re.sub(r"(write_token=)[^&\s'\"]+", r"\1***", text)


def numbers(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value is not None}


def import_tracker(name: str) -> Any:
    """Import a tracker.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}. To install it: pip install 'adamily[track]'", name=error.name
        ) from error


def make_writable(folder: Path) -> None:
    """Make a folder if it is missing, and check that it is writable.

    Raises:
        OSError: it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")
