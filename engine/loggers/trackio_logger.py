"""trackio, a local dashboard."""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.loggers.logger import (
    Metrics,
    RunInfo,
    flatten,
    import_tracker,
    make_writable,
    numbers,
    title_of,
)


class TrackioLogger:
    """trackio: a local SQLite database, shown by `trackio show`; no account, no server started.

    A process has one trackio folder. A thread writes what is logged.

    Args:
        project: trackio project, which is the name of the database.
        dir: folder of the databases, made if missing. TRACKIO_DIR in the environment takes
            precedence; None means trackio's own default.
    """

    def __init__(self, project: str = "adamily", dir: str | Path | None = None):
        self.project = project
        self.dir = dir

    def start(self, info: RunInfo) -> None:
        self._trackio = _import_trackio(self.dir)
        # trackio would only warn, from a thread and once for every batch.
        make_writable(Path(self._trackio.utils.TRACKIO_DIR))
        with _no_stdout():
            self._run = self._trackio.init(
                project=self.project,
                # trackio finds a run to resume by its name, so the name must be the run's own.
                name=f"{info.name} ({info.id})",
                group=info.group,
                config=_trackio_config(info),
                resume="allow" if info.step else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        # trackio would show a step that is logged again twice.
        self._step = getattr(self._run, "_next_step", 0) if info.step else 0

    def log(self, metrics: Metrics, step: int) -> None:
        if step < self._step:
            return
        self._step = step
        self._run.log(numbers(metrics), step=step)

    def show(self, artifact: Path, step: int) -> None:
        if step >= self._step:
            kind = self._trackio.Video if artifact.suffix == ".gif" else self._trackio.Image
            self._run.log({title_of(artifact): kind(artifact)}, step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        with _no_stdout():
            self._run.log(flatten(summary), step=self._step)
            # Run.finish would leave it to be finished again, with a message, at exit.
            self._trackio.finish()


def _trackio_config(info: RunInfo) -> dict[str, Any]:
    # Names with a leading underscore are trackio's own.
    config = {name: value for name, value in info.config.items() if not name.startswith("_")}
    return {**config, "id": info.id, "tags": list(info.tags)}


def _import_trackio(folder: str | Path | None) -> Any:
    """Import trackio, which then reads the folder of its databases from the environment.

    Raises:
        RuntimeError: it was imported before with another folder.
    """
    folder = os.environ.get("TRACKIO_DIR") or folder
    if folder is None:
        return import_tracker("trackio")
    folder = Path(folder).resolve()
    with _environment("TRACKIO_DIR", str(folder)):
        trackio = import_tracker("trackio")
    used = Path(trackio.utils.TRACKIO_DIR).resolve()
    if used != folder:
        raise RuntimeError(f"trackio writes to {used} in this process, so not to {folder}")
    return trackio


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    previous = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if previous is None:
            del os.environ[name]
        else:
            os.environ[name] = previous


def _no_stdout() -> contextlib.AbstractContextManager:
    """Swallow what is printed: trackio has no quiet mode."""
    return contextlib.redirect_stdout(io.StringIO())
