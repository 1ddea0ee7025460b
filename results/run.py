"""One training run on disk.

A run's folder is `<runs>/<task>/<optim>/<id>/`, and the id is a hash of what decides its outcome
(`results.identity`). It holds

    config.yaml        the resolved config
    environment.json   versions, device, git commit; of each session, where a run was resumed
    metrics.jsonl      one JSON object a line, `step` in each
    summary.json       how it ended; absent while it has not
    checkpoint.pt      while it has not ended, with checkpoint.previous.pt in reserve; both know
                       the hash of metrics.jsonl as far as they go
    files/             until then, what the checkpoints of some tasks refer to
    videos/            of evaluations, by the step, where they were asked for
    log.txt            warnings, and the traceback of a failure

so that whoever asks for the same run again finds it finished, or goes on where it stopped.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from results import checkpoint
from results.files import left_over, read_json, replacing, sweep_up, write_json, write_text
from results.identity import place, run_id
from results.metrics_file import MetricsFile
from results.shared import locked, make_folder
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


class RunLog(logging.FileHandler):
    """Passes over what it cannot write, as on a full disk: standard error has the message."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: what went wrong is said elsewhere, too."""


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
        self._metrics = MetricsFile(self.folder / "metrics.jsonl")
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
        """Whether a process is training it now; not where that cannot be told."""
        try:
            with self.locked(patience=0):
                return False
        except Busy:
            return True
        except OSError:  # whoever wants to train it will hear of it
            return False

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
            OSError: it cannot be locked.
        """
        path = self.root / ".locks" / f"{self.id}.lock"
        make_folder(path.parent)
        with ExitStack() as held:
            try:
                held.enter_context(locked(path, patience))
            except Timeout:
                raise Busy(
                    f"run {self.id} ({self.folder}) is being trained by another process"
                ) from None
            yield

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Keep what the project logs meanwhile in the run's log.txt, too."""
        handler = RunLog(self.folder / "log.txt", delay=True, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            handler.close()

    def checkpoints(self) -> Iterator[dict[str, Any]]:
        """What there is to go on from, the newest first; what cannot be used is warned of.

        Raises:
            checkpoint.OtherFormat: there is one, of another version of this project.
        """
        for path, state in checkpoint.usable(self.folder, self.id):
            if self._metrics.begins_with(state["metrics_bytes"], state["metrics_sha256"]):
                yield state
            else:
                log.warning(
                    "%s is passed over: %s has lost lines or was changed since.",
                    path,
                    self._metrics.path,
                )

    def begin(self, environment: dict[str, Any], state: dict[str, Any] | None) -> None:
        """Make the folder ready to go on from `state`, one of `checkpoints`, or to begin afresh.

        Raises:
            ConfigChanged: config.yaml was edited by hand.
            OSError: the folder cannot be written.
        """
        self.check_config()
        make_folder(self.folder)
        sweep_up(self.folder)
        if state is None and checkpoint.exists(self.folder):
            log.warning("Run %s begins afresh: none of its checkpoints can be used.", self.id)
        write_text(self.folder / "config.yaml", dump_yaml(self.config))
        (self.folder / "summary.json").unlink(missing_ok=True)
        self._metrics.cut(state["metrics_bytes"] if state else 0)
        self._record_environment(environment, resumed_at=state["step"] if state else None)

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line to metrics.jsonl.

        Raises:
            OSError: it could not be written whole.
        """
        self._metrics.append(step, metrics)

    def keep_video(self, step: int, gif: bytes) -> Path:
        """Write the video of the evaluation after `step`, and return where it is.

        Raises:
            OSError: it could not be written whole, and is not there.
        """
        path = video_path(self.folder, step)
        make_folder(path.parent)
        with replacing(path) as file:
            file.write(gif)
        return path

    def save_checkpoint(self, state: dict[str, Any]) -> bool:
        """Save `state` to go on from; a full disk is worth a warning, not the run.

        Returns:
            Whether it was saved.
        """
        try:
            self._metrics.sync()
            written = {"metrics_bytes": self._metrics.size, "metrics_sha256": self._metrics.sha256}
            checkpoint.save(self.folder, self.id, state | written)
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
        self._metrics.sync()
        write_json(self.folder / "summary.json", summary)
        if status in ENDED:
            self._clear_away()
        return summary

    def tidy(self) -> None:
        """Remove what is left over in the folder of a run that has ended, if nobody holds it."""
        if left_over(self.folder) or checkpoint.exists(self.folder):
            with suppress(Busy, OSError), self.locked(patience=0):
                self._clear_away()

    # -- details -----------------------------------------------------------------------------------

    def _clear_away(self) -> None:
        try:
            checkpoint.remove(self.folder)
            sweep_up(self.folder)
        except OSError as error:  # the record is whole without it
            log.warning("run %s has ended, but not all it needed is removed: %s", self.id, error)

    def _record_environment(self, environment: dict[str, Any], resumed_at: int | None) -> None:
        path = self.folder / "environment.json"
        first = read_json(path)
        if resumed_at is None or first is None:
            write_json(path, environment)
            return
        first.setdefault("resumed", []).append({"at_step": resumed_at, **environment})
        write_json(path, first)


def video_path(folder: Path, step: int) -> Path:
    return folder / "videos" / f"{step:09}.gif"
