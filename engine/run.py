"""One training run on disk.

A run's folder is `<runs>/<task>/<optim>/<id>/`, and the id is a hash of what decides its outcome
(`engine.identity`). It holds

    config.yaml        the resolved config
    environment.json   versions, device, git commit; of each session, where a run was resumed
    metrics.jsonl      one JSON object a line, `step` in each
    losses.jsonl       with train.loss_every=n, the training loss of every n-th step: a line for
                       each evaluation with those since the one before it
    summary.json       how it ended, with the SHA-256 of the other files and of itself; absent until
                       then
    pauses.json        of a run that has paused: what it was worth there, by the part of its steps
    checkpoint.pt      until it has ended, with checkpoint.previous.pt in reserve; both hold the
                       hashes of metrics.jsonl and losses.jsonl up to their step
    files/             until it has ended, files that the checkpoints of some tasks refer to
    artifacts/         pictures and videos of evaluations, by the step, with train.artifacts=true
    log.txt            warnings, and the traceback of a failure

so that the same run, asked for again, is found finished, or goes on where it stopped.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import Timeout

from engine import checkpoint
from engine.files import atomic_write, json_text, sweep_up, temporary_files, write_json, write_text
from engine.identity import run_path
from engine.json_lines import JsonLines, finite_or_none
from engine.record_files import (
    ENDED,
    RECORD,
    Damaged,
    pause_name,
    read_config,
    read_environment,
    read_pauses,
    read_summary,
    summary_hash,
)
from engine.records import Record, load, read
from engine.run_log import logged_to
from engine.shared import locked, make_folder
from engine.yaml_files import dump_yaml

log = logging.getLogger("adamily")

Status = Literal["finished", "diverged", "failed"]

ARTIFACTS = "artifacts"

# Asking whether a run is busy locks it for a moment.
LOCK_PATIENCE_SECONDS = 0.3


class LossBlock(NamedTuple):
    """A line of losses.jsonl: the losses of the last steps up to `step` that `every` divides."""

    step: int
    every: int
    losses: list[float]


class Busy(Exception):
    """Another process is training this run."""


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
        self.folder = self.root / run_path(config)
        self.id = self.folder.name
        self._metrics = JsonLines(self.folder / "metrics.jsonl")
        self._losses = JsonLines(self.folder / "losses.jsonl")
        self._checkpoint_failed = False
        self._stamps: list[Any] = []
        self._summary: dict[str, Any] | None = None
        self._damage: Damaged | None = None
        self._config_sha256 = ""
        self._environment_sha256 = ""

    # -- its state ---------------------------------------------------------------------------------

    @property
    def summary(self) -> dict[str, Any] | None:
        """summary.json, or None while the run has not ended, or where its record is damaged."""
        return None if self.damage else self._summary

    @property
    def damage(self) -> Damaged | None:
        """The damage to the record of a run that has ended, which then counts as not ended."""
        stamps = [file_stamp(self.folder / name) for name in RECORD]
        if stamps != self._stamps:  # a sweep asks often, about thousands of runs
            self._stamps, self._damage = stamps, None
            try:
                self._summary = read_summary(self.folder)
                if self._summary and self._summary["status"] in ENDED:
                    load(self.folder, self.config)
            except Damaged as damage:
                self._damage = damage
        return self._damage

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
    def done(self) -> bool:
        """Whether all that its config asks for is done: it has ended, or paused where it is to."""
        if self.ended:
            return True
        pause_at = self.config["train"].get("pause_at")
        if not pause_at:
            return False
        try:
            record = load(self.folder)
        except Damaged:  # which training it will name, or mend
            return False
        return record is not None and pause_name(pause_at) in record.pauses

    def recorded(self) -> Record | None:
        """Its record; None, with a warning, where there is none or it is damaged.

        Of a run that has ended, curves are read when they are asked for.
        """
        if self.ended:
            return Record.of_ended(self.folder, self.config, self._summary or {})
        return read(self.folder, self.config)

    @property
    def begun(self) -> bool:
        """Whether it was started and has neither ended nor failed since."""
        return (self.folder / "environment.json").exists() and self.summary is None

    @property
    def busy(self) -> bool:
        """Whether a process is training it now; False where that cannot be determined."""
        try:
            with self.locked(patience=0):
                return False
        except Busy:
            return True
        except OSError:  # training it will raise the same
            return False

    def files(self, process: int) -> Path:
        """The folder for the files that a process's state in the checkpoints refers to."""
        return self.folder / checkpoint.FILES / str(process)

    def check(self) -> None:
        """Raise Damaged where a file of the record is not what the run has written."""
        read_config(self.folder)
        read_pauses(self.folder)
        if self.damage:
            raise self.damage

    def restore_config(self) -> None:
        """Write config.yaml anew if a run that has ended has lost it and the folder is writable."""
        path = self.folder / "config.yaml"
        if self.ended and not path.exists():
            with suppress(OSError):
                write_text(path, dump_yaml(self.config))
                log.warning("%s was gone, and is written anew", path)

    # -- while it runs -----------------------------------------------------------------------------

    @contextmanager
    def locked(self, patience: float = LOCK_PATIENCE_SECONDS) -> Iterator[None]:
        """Lock the run for this process; the system releases it when the process dies.

        Raises:
            Busy: another process holds it.
            OSError: it cannot be locked.
        """
        path = self.root / ".locks" / f"{self.id}.lock"
        make_folder(path.parent)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path, patience))
            except Timeout:
                raise Busy(
                    f"run {self.id} ({self.folder}) is being trained by another process"
                ) from None
            yield

    def logged(self) -> AbstractContextManager[None]:
        """In the block, also write what the project logs to the run's log.txt."""
        return logged_to(self.folder / "log.txt")

    def checkpoints(self) -> Iterator[dict[str, Any]]:
        """The states of usable checkpoints, the newest first, with a warning for each other one.

        Raises:
            checkpoint.OtherFormat: one was written by another version of this project.
        """
        for path, state in checkpoint.usable(self.folder, self.id):
            written = ((self._metrics, state["metrics_bytes"], state["metrics_sha256"]),)
            if state.get("losses_bytes"):  # an older checkpoint knows nothing of them
                written += ((self._losses, state["losses_bytes"], state["losses_sha256"]),)
            changed = [lines.path for lines, *start in written if not lines.begins_with(*start)]
            if not changed:
                yield state
            else:
                log.warning(
                    "%s is passed over: %s has lost lines or was changed since.", path, changed[0]
                )

    def begin(self, environment: dict[str, Any], state: dict[str, Any] | None) -> None:
        """Prepare the folder to go on from `state`, one of `checkpoints`, or to begin afresh.

        Raises:
            Damaged: config.yaml was edited by hand.
            OSError: the folder cannot be written.
        """
        read_config(self.folder)
        make_folder(self.folder)
        sweep_up(self.folder)
        if state is None and checkpoint.exists(self.folder):
            log.warning("Run %s begins afresh: none of its checkpoints can be used.", self.id)
        # What tells it from others is of the sweep that it is a part of now.
        config = {key: None if key == "label" else value for key, value in self.config.items()}
        text = dump_yaml(config)
        write_text(self.folder / "config.yaml", text)
        self._config_sha256 = hashlib.sha256(text.encode()).hexdigest()
        (self.folder / "summary.json").unlink(missing_ok=True)
        self._metrics.cut(state["metrics_bytes"] if state else 0)
        if state and state.get("losses_bytes"):
            self._losses.cut(state["losses_bytes"])
        else:
            self._losses.remove()
        self._record_environment(environment, resumed_at=state["step"] if state else None)

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line to metrics.jsonl.

        Raises:
            OSError: it could not be written whole.
        """
        self._metrics.append({"step": step, **finite_or_none(metrics)})

    def record_losses(self, block: LossBlock | None) -> None:
        """Append one line to losses.jsonl, if there is something to keep.

        Raises:
            OSError: it could not be written whole.
        """
        if block is not None:
            losses = [loss if isfinite(loss) else None for loss in block.losses]
            self._losses.append(block._asdict() | {"losses": losses})

    def keep_artifact(self, step: int, name: str, content: bytes) -> Path:
        """Write an artifact of the evaluation after `step`; return its path.

        Raises:
            ValueError: its name is not that of a file.
            OSError: it could not be written, and does not exist.
        """
        if not name or name.startswith(".") or set(name) & {"/", "\\", "\0"}:
            raise ValueError(f"artifact {name!r}: must be the name of a file, as in game.gif")
        path = self.folder / ARTIFACTS / f"{step:09}.{name}"
        make_folder(path.parent)
        with atomic_write(path) as file:
            file.write(content)
        return path

    def record_pause(self, pause_at: float, worth: dict[str, Any]) -> None:
        """Note what the run is worth where it pauses.

        Args:
            pause_at: the part of its steps after which it was to pause.
            worth: `step`, `steps`, and `final` and `best` as in summary.json.

        Raises:
            OSError: it could not be written.
        """
        pauses = read_pauses(self.folder) | {pause_name(pause_at): worth}
        write_json(self.folder / "pauses.json", pauses)

    def save_checkpoint(self, state: dict[str, Any]) -> bool:
        """Save a checkpoint; where that fails, as on a full disk, warn once and go on.

        Returns:
            Whether it was saved.
        """
        try:
            written = {}
            for name, lines in (("metrics", self._metrics), ("losses", self._losses)):
                lines.sync()
                written |= {f"{name}_bytes": lines.byte_count, f"{name}_sha256": lines.sha256}
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
        """Write summary.json, with which the run has ended, and remove its checkpoints."""
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
        if status in ENDED:
            files = {"metrics.jsonl": self._metrics.sha256}
            files |= {"environment.json": self._environment_sha256}
            files |= {"config.yaml": self._config_sha256}
            if self._losses.byte_count:
                files |= {"losses.jsonl": self._losses.sha256}
            summary["sha256"] = files | {"summary.json": summary_hash(summary)}
        self._metrics.sync()
        self._losses.sync()
        write_json(self.folder / "summary.json", summary)
        if status in ENDED:
            self._clear_away()
        return summary

    def tidy(self) -> None:
        """Remove leftover files of a run that has ended, unless another process has locked it."""
        if temporary_files(self.folder) or checkpoint.exists(self.folder):
            with suppress(Busy, OSError), self.locked(patience=0):
                self._clear_away()

    # -- details -----------------------------------------------------------------------------------

    def _clear_away(self) -> None:
        try:
            checkpoint.remove(self.folder)
            sweep_up(self.folder)
        except OSError as error:  # the record is complete all the same
            log.warning("run %s has ended, but not all it needed is removed: %s", self.id, error)

    def _record_environment(self, environment: dict[str, Any], resumed_at: int | None) -> None:
        try:
            recorded = read_environment(self.folder, {}) if resumed_at is not None else {}
        except Damaged as damage:
            log.warning("%s: it is written anew.", damage)
            recorded = {}
        if recorded:
            recorded.setdefault("resumed", []).append({"at_step": resumed_at, **environment})
        text = json_text(recorded or environment)
        write_text(self.folder / "environment.json", text)
        self._environment_sha256 = hashlib.sha256(text.encode()).hexdigest()


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """Numbers that change with a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def artifacts_of(folder: Path, step: int) -> list[Path]:
    """The artifacts of the evaluation after `step`."""
    return sorted((folder / ARTIFACTS).glob(f"{step:09}.*"))


def modified_at(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
