"""trackio, a local dashboard."""

import contextlib
import importlib
import io
import json
import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.loggers.info import RunInfo
from engine.loggers.logger import (
    Metrics,
    flatten,
    import_tracker,
    make_writable,
    numbers,
    title_of,
)
from engine.record_files import ENDED


class Known(NamedTuple):
    """A run in the database, and what its config there says."""

    name: str
    id: str | None
    status: str | None


class TrackioLogger:
    """trackio: a local SQLite database, shown by `trackio show`; no account, no server started.

    A process has one trackio folder. A thread writes what is logged. What runs are grouped by is
    their config, on one level; how a run ended is in it, too, and its best values are bars.

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
        self._named = {"project": self.project, "name": self._name_for(info), "group": info.group}
        self._config = {**info.columns, "tags": list(info.tags)}
        self._run = self._init(resume="allow" if info.step else "never")
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
        self._finish()
        # A run's config is sent with what is logged first: its end needs another beginning.
        outcome = {name: value for name, value in flatten(summary).items() if "/" not in name}
        self._config |= outcome
        # A run that diverged at its first steps may have logged nothing yet.
        self._run = self._init(resume="allow")
        step = max(self._step, summary.get("diverged_at") or 0)
        self._run.log(bars_of(summary), step=step)
        self._finish()

    def logged(self, folders: Iterable[Path]) -> set[str]:
        """The ids of those runs, by their folders, whose end the database has."""
        if self.dir and not Path(os.environ.get("TRACKIO_DIR") or self.dir).is_dir():
            return set()
        self._trackio = _import_trackio(self.dir)
        ended = {run.id for run in self._known() if run.status in ENDED}
        return {folder.name for folder in folders if folder.name in ended}

    def opened(self, runs: Path) -> str:
        """The command that serves the page."""
        folder = os.environ.get("TRACKIO_DIR") or self.dir
        where = f"TRACKIO_DIR={shlex.quote(str(folder))} " if folder else ""
        return f"To look at them: {where}trackio show --project {shlex.quote(self.project)}"

    def _init(self, resume: str) -> Any:
        silent = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with _no_stdout():
            return self._trackio.init(
                **self._named, config=dict(self._config), resume=resume, **silent
            )

    def _finish(self) -> None:
        with _no_stdout():
            # Run.finish would leave it to be finished again, with a message, at exit.
            self._trackio.finish()

    def _name_for(self, info: RunInfo) -> str:
        """The run's name, by which trackio finds one to resume: no two runs may have the same.

        A run that starts at step 0 takes the place of what was logged under its id.
        """
        known = self._known()
        own = [run for run in known if run.id == info.id]
        if own and info.step:
            return own[-1].name
        for run in self._trackio.Api().runs(self.project) if own else ():
            if run.name in {other.name for other in own}:
                run.delete()
        taken = {run.name for run in known if run.id != info.id}
        return f"{info.name} ({info.id})" if info.name in taken else info.name

    def _known(self) -> list[Known]:
        """The runs in the database."""
        storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
        path = storage.get_project_db_path(self.project)
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT run_name, config FROM configs ORDER BY id")
            configs = [(name, json.loads(config)) for name, config in rows]
        return [Known(name, config.get("id"), config.get("status")) for name, config in configs]


def bars_of(summary: Mapping[str, Any]) -> dict[str, float | str]:
    """What trackio shows as a bar for each run, since there is one value of it."""
    flat = flatten(summary)
    return {k: v for k, v in flat.items() if k.startswith("best/") or k == "diverged_at"}


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
