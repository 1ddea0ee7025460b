"""One training run on disk.

A run's folder is `<runs>/<task>/<optim>/<id>/`, and the id is a hash of what decides its outcome
(`results.identity`). It holds

    config.yaml        the resolved config
    environment.json   versions, device, git commit; of each session, where a run was resumed
    metrics.jsonl      one JSON object a line, `step` in each
    summary.json       how it ended; absent while it has not
    checkpoint.pt      while it has not ended, with checkpoint.previous.pt in reserve
    files/             until then, what the checkpoints of some tasks refer to
    videos/            of evaluations, by the step, where they were asked for
    log.txt            warnings, and the traceback of a failure

so that whoever asks for the same run again finds it finished, or goes on where it stopped.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from results import checkpoint
from results.files import read_json, replacing, sync_folder, write_json, write_text
from results.identity import place, run_id
from results.metrics import finite_or_none
from results.yaml_files import YamlError, dump_yaml, read_yaml

log = logging.getLogger("adamily")

Status = Literal["finished", "diverged", "failed"]
ENDED = ("finished", "diverged")

# Whoever asks whether a run is busy holds it for a moment.
LOCK_PATIENCE_SECONDS = 0.3


class Busy(Exception):
    """Another process is training this run."""


class ConfigChanged(Exception):
    """A run's config.yaml is not the config that its folder was made for."""


class Run:
    """A run's folder, which need not exist yet.

    Args:
        root: the folder of all runs.
        config: the resolved config as plain containers; `config["names"]` holds the names of its
            task, optimizer and schedule.
    """

    def __init__(self, root: Path | str, config: dict[str, Any]):
        self.config = config
        self.root = Path(root)
        self.folder = self.root / place(config)
        self.id = self.folder.name
        self._checkpoint_failed = False

    # -- what is known of it -----------------------------------------------------------------------

    @property
    def summary(self) -> dict[str, Any] | None:
        """How the run ended, or None while it has not."""
        return read_json(self.folder / "summary.json")

    @property
    def status(self) -> Status | None:
        """How it ended, or None while it has not."""
        summary = self.summary
        return summary["status"] if summary else None

    @property
    def ended(self) -> bool:
        """Whether it finished or diverged; a failed run is to be tried again."""
        return self.status in ENDED

    @property
    def begun(self) -> bool:
        """Whether it was started and has neither ended nor failed since."""
        return (self.folder / "environment.json").exists() and self.summary is None

    @property
    def busy(self) -> bool:
        """Whether a process is training it now."""
        try:
            with self.locked(patience=0):
                return False
        except Busy:
            return True

    def files(self, process: int) -> Path:
        """The folder for what a process's part of the checkpoints refers to."""
        return self.folder / checkpoint.FILES / str(process)

    def check_config(self) -> None:
        """Raise ConfigChanged where config.yaml was edited under this run's id."""
        path = self.folder / "config.yaml"
        if not path.exists():
            return
        try:
            found = run_id(read_yaml(path))
        except (YamlError, KeyError, TypeError) as error:
            found = f"nothing ({type(error).__name__})"
        if found != self.id:
            raise ConfigChanged(
                f"{path} was changed: it describes run {found}, not {self.id}. Put it back, or "
                f"remove the folder to run it afresh."
            )

    def restore_config(self) -> None:
        """Write config.yaml anew where it is gone from a run that has ended.

        Raises:
            OSError: it could not be written.
        """
        path = self.folder / "config.yaml"
        if self.ended and not path.exists():
            log.warning("%s was gone, and is written anew", path)
            write_text(path, dump_yaml(self.config))

    # -- while it runs -----------------------------------------------------------------------------

    @contextmanager
    def locked(self, patience: float = LOCK_PATIENCE_SECONDS) -> Iterator[None]:
        """Hold the run for this process; the system lets go of it when the process dies.

        Raises:
            Busy: another process holds it.
        """
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{self.id}.lock", timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            raise Busy(
                f"run {self.id} ({self.folder}) is being trained by another process"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Keep what the project logs meanwhile in the run's log.txt, too."""
        handler = logging.FileHandler(self.folder / "log.txt", delay=True)
        handler.handleError = lambda record: None  # a full disk: standard error has the message
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            handler.close()

    def begin(self, environment: dict[str, Any]) -> dict[str, Any] | None:
        """Make the folder ready and return the checkpoint to go on from, if there is one.

        Raises:
            ConfigChanged: config.yaml was edited by hand.
            OSError: the folder cannot be written.
        """
        self.check_config()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "config.yaml", dump_yaml(self.config))
        (self.folder / "summary.json").unlink(missing_ok=True)
        state = self._usable_checkpoint()
        self._truncate_metrics(state["metrics_bytes"] if state else 0)
        self._record_environment(environment, resumed_at=state["step"] if state else None)
        return state

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line to metrics.jsonl.

        Raises:
            OSError: it could not be written whole.
        """
        line = json.dumps({"step": step, **finite_or_none(metrics)}, allow_nan=False) + "\n"
        # A single write, so that a killed process leaves whole lines behind.
        with open(self.folder / "metrics.jsonl", "ab", buffering=0) as file:
            if file.write(line.encode()) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)

    def keep_video(self, step: int, gif: bytes) -> Path:
        """Write the video of the evaluation after `step`, and return where it is.

        Raises:
            OSError: it could not be written whole, and is not there.
        """
        path = self.folder / "videos" / f"{step:09}.gif"
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(gif)
        return path

    def save_checkpoint(self, state: dict[str, Any]) -> bool:
        """Save `state` to go on from; a full disk is worth a warning, not the run.

        Returns:
            Whether it was saved.
        """
        try:
            state = {**state, "metrics_bytes": self._sync_metrics()}
            checkpoint.save(self.folder, state)
        except OSError as error:
            if not self._checkpoint_failed:
                log.warning(
                    "run %s goes on without a checkpoint at step %s: %s",
                    self.id,
                    state["step"],
                    error,
                )
            self._checkpoint_failed = True
            return False
        return True

    def end(self, status: Status, summary: dict[str, Any]) -> dict[str, Any]:
        """Write summary.json, which makes the run ended, and drop its checkpoints."""
        names = self.config["names"]
        summary = {
            "id": self.id,
            "task": names["task"],
            "optim": names["optim"],
            "seed": self.config["seed"],
            "profile": self.config["profile"],
            "data": self.config["data"],
            "status": status,
            **summary,
        }
        self._sync_metrics()
        write_json(self.folder / "summary.json", summary)
        if status in ENDED:
            checkpoint.remove(self.folder)
        return summary

    # -- details -----------------------------------------------------------------------------------

    def _usable_checkpoint(self) -> dict[str, Any] | None:
        state = checkpoint.load(self.folder)
        metrics = self.folder / "metrics.jsonl"
        written = metrics.stat().st_size if metrics.exists() else 0
        if state is not None and state["metrics_bytes"] > written:
            log.warning("%s has lost lines: run %s starts afresh.", metrics, self.id)
            return None
        return state

    def _truncate_metrics(self, size: int) -> None:
        """Drop what was recorded after the checkpoint: it will be recorded again."""
        path = self.folder / "metrics.jsonl"
        path.touch()
        os.truncate(path, size)

    def _sync_metrics(self) -> int:
        """Make the recorded metrics survive a loss of power; return their size in bytes."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return 0
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.folder)
        return path.stat().st_size

    def _record_environment(self, environment: dict[str, Any], resumed_at: int | None) -> None:
        path = self.folder / "environment.json"
        first = read_json(path)
        if resumed_at is None or first is None:
            write_json(path, environment)
            return
        first.setdefault("resumed", []).append({"at_step": resumed_at, **environment})
        write_json(path, first)
