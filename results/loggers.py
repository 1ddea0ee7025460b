"""Experiment trackers: Weights & Biases, trackio and TensorBoard behind three calls.

A logger has `start(info)`, `log(metrics, step)` and `finish(summary)`; its constructor takes the
options that stand in `conf/logger/NAME.yaml` and does nothing else. The trackers themselves are
optional and slow to import, so each is imported when its logger starts. `Loggers` is what a
training loop holds: whatever happens to a tracker, the run goes on.

A step counts the optimizer steps done. Of a run that goes on from step N, the trackers keep what
they have up to N; what was logged beyond N before the interruption appears once.
"""

import contextlib
import importlib
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml

_log = logging.getLogger("adamily")


@dataclass(frozen=True)
class RunInfo:
    """What every logger is told about a run.

    Attributes:
        id: 12 hexadecimal digits, the run's identity; a resumed run has the one it had.
        name: what a dashboard calls it, e.g. "adam lr=0.001 seed=0".
        group: the study's name, e.g. "lp_adam/fc2"; the task's for a run outside a study.
        tags: paper, task, optimizer, "data:sample", "profile:smoke".
        config: the resolved config, nested, in plain containers.
        folder: the run's folder.
        step: the step that it starts (0) or resumes from.
    """

    id: str
    name: str
    group: str
    tags: list[str]
    config: dict[str, Any]
    folder: Path
    step: int


Metrics = Mapping[str, float | None]


class Logger(Protocol):
    """One tracker. Any of the calls may raise; `Loggers` then drops it."""

    def start(self, info: RunInfo) -> None: ...

    def log(self, metrics: Metrics, step: int) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...


class Loggers:
    """Several loggers as one, none of which can end the run.

    The first exception of a logger is one warning, and the last that is heard of that logger.

    Args:
        loggers: not started yet; may be empty. They start with the first call, since importing a
            tracker can take longer than the first steps of training.
        info: the run, with which each is started.
    """

    def __init__(self, loggers: Sequence[Logger], info: RunInfo):
        self._loggers = list(loggers)
        self._info = info
        self._started = False

    def log(self, metrics: Metrics, step: int) -> None:
        """Send the metrics after `step` optimizer steps; None means no value and is left out."""
        self._call("log", metrics, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Send how the run ended, and close; calls after this one do nothing.

        Args:
            summary: {"status": "finished" | "diverged" | "failed", "final": {metric: value},
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


class WandbLogger:
    """Weights & Biases: online where a key is configured, offline otherwise, and never a prompt.

    Files go to the `wandb` folder inside the run's; `wandb sync FOLDER` uploads an offline run.
    A run that starts at step 0 replaces what W&B has under its id, one that resumes continues it.
    About 1.4 s to start (W&B is imported and its service started; 0.03 s for the next run of the
    same process) and 0.02 s to finish offline; a call to `log` takes about 0.8 ms.

    Args:
        project: W&B project.
        entity: user or team; None for the account's default.
        mode: "online", "offline" or "disabled"; None leaves it to WANDB_MODE and W&B's settings.
        init_timeout: seconds to wait for the server before the run goes on offline.
        finish_timeout: seconds that uploading may hold up the end of a run; 0 is no limit. What
            was not uploaded stays on disk, for `wandb sync`.
        system_metrics: also send CPU, GPU and memory use.
    """

    # Set once a server did not answer, so that the other runs of a sweep do not wait for it too.
    _unreachable: ClassVar[bool] = False

    def __init__(
        self,
        project: str = "adamily",
        entity: str | None = None,
        mode: str | None = None,
        init_timeout: float = 30.0,
        finish_timeout: float = 300.0,
        system_metrics: bool = False,
    ):
        self.project = project
        self.entity = entity
        self.mode = mode
        self.init_timeout = init_timeout
        self.finish_timeout = finish_timeout
        self.system_metrics = system_metrics

    def start(self, info: RunInfo) -> None:
        # W&B would write to /tmp without a word.
        _make_writable(info.folder)
        wandb = _import("wandb")
        mode = self._choose_mode(wandb)
        try:
            self._run = self._init(wandb, info, mode)
        except wandb.Error as error:
            if mode != "online":
                raise
            _log.warning("W&B goes on offline: %s", describe(error))
            WandbLogger._unreachable = True
            # The service still holds the run's id.
            wandb.teardown()
            self._run = self._init(wandb, info, "offline")
        # W&B refuses steps below the one it expects next, with a warning for each.
        self._step = self._run.step if info.step else 0
        if mode == "online" and not self._run.offline:
            _log.info("W&B: %s", self._run.url)

    def log(self, metrics: Metrics, step: int) -> None:
        if step < self._step:
            return
        self._step = step
        self._run.log(_numbers(metrics), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(flatten(summary))
        self._run.finish(exit_code=1 if summary.get("status") == "failed" else 0)

    def _choose_mode(self, wandb: Any) -> str:
        settings = _setup_wandb(wandb)
        mode = self.mode or settings.mode
        if mode in ("offline", "dryrun", "disabled"):
            return mode
        online = not self._unreachable and _has_wandb_key(wandb, settings)
        return "online" if online else "offline"

    def _init(self, wandb: Any, info: RunInfo, mode: str) -> Any:
        _setup_wandb(wandb)
        return wandb.init(
            project=self.project,
            entity=self.entity,
            id=info.id,
            name=info.name[:128],
            group=info.group[:128],
            # W&B refuses a run with an empty tag or one above 64 characters.
            tags=[tag[:64] for tag in info.tags if tag],
            config=info.config,
            dir=str(info.folder),
            mode=mode,
            # "allow" at step 0 would keep an older run's curve under a new run's summary.
            resume="allow" if info.step else None,
            # The default hands back the run of a training loop that was cut short.
            reinit="finish_previous",
            settings=self._settings(wandb),
        )

    def _settings(self, wandb: Any) -> Any:
        """No code, git, console or machine data: the run's own record has what matters of it."""
        wanted = {
            "console": "off",
            "disable_code": True,
            "disable_git": True,
            "save_code": False,
            "symlink": False,
            "init_timeout": self.init_timeout,
            "finish_timeout": self.finish_timeout,
            "x_disable_stats": not self.system_metrics,
            "x_disable_meta": True,
            "x_disable_machine_info": not self.system_metrics,
            "x_save_requirements": False,
        }
        # Other releases know other settings, and refuse those that they don't.
        known = wandb.Settings.model_fields
        return wandb.Settings(**{name: value for name, value in wanted.items() if name in known})


class TrackioLogger:
    """trackio: a local SQLite database, shown by `trackio show`; no account, no server started.

    A process has one trackio folder. Under 0.1 ms a call to `log`; a thread writes it down.

    Args:
        project: trackio project, which is the name of the database.
        dir: folder of the databases, made where missing. TRACKIO_DIR in the environment comes
            before it; None means trackio's own default.
    """

    def __init__(self, project: str = "adamily", dir: str | Path | None = None):
        self.project = project
        self.dir = dir

    def start(self, info: RunInfo) -> None:
        self._trackio = _import_trackio(self.dir)
        # trackio would only warn, from a thread and once for every batch.
        _make_writable(Path(self._trackio.utils.TRACKIO_DIR))
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
        self._run.log(_numbers(metrics), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        with _no_stdout():
            self._run.log(flatten(summary), step=self._step)
            # Run.finish would leave it to be finished again, with a message, at exit.
            self._trackio.finish()


class TensorBoardLogger:
    """TensorBoard event files in the `tensorboard` folder inside the run's.

    The config and the summary are texts. About 0.07 ms a metric to `log`.

    Args:
        flush_seconds: how long a metric may wait in memory.
    """

    def __init__(self, flush_seconds: float = 30.0):
        self.flush_seconds = flush_seconds

    def start(self, info: RunInfo) -> None:
        folder = info.folder / "tensorboard"
        _make_writable(folder)
        _import("tensorboard")
        tensorboard = importlib.import_module("torch.utils.tensorboard")
        self._step = info.step
        self._writer = tensorboard.SummaryWriter(
            str(folder),
            # Steps from here on were logged by a start that was interrupted.
            purge_step=info.step + 1 if info.step else 0,
            flush_secs=int(self.flush_seconds),
        )
        about = {"id": info.id, "name": info.name, "group": info.group, "tags": list(info.tags)}
        self._write_yaml("config", {**about, "config": info.config})

    def log(self, metrics: Metrics, step: int) -> None:
        self._step = step
        for name, value in _numbers(metrics).items():
            self._writer.add_scalar(name, value, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._write_yaml("summary", flatten(summary))
        self._writer.close()

    def _write_yaml(self, tag: str, content: dict[str, Any]) -> None:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        # Four spaces make it a code block in TensorBoard's Markdown.
        self._writer.add_text(tag, re.sub("^", "    ", text, flags=re.MULTILINE), self._step)


# -- what is sent ----------------------------------------------------------------------------------


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


def describe(error: Exception) -> str:
    """An error's type and message, without the credentials that a message may quote."""
    text = f"{type(error).__name__}: {error}"
    for name, value in os.environ.items():
        if re.search("KEY|TOKEN|SECRET|PASSWORD", name) and len(value) >= 8:
            text = text.replace(value, "***")
    return re.sub(r"(write_token=)[^&\s'\"]+", r"\1***", text)


def _numbers(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _trackio_config(info: RunInfo) -> dict[str, Any]:
    # Names with a leading underscore are trackio's own.
    config = {name: value for name, value in info.config.items() if not name.startswith("_")}
    return {**config, "id": info.id, "tags": list(info.tags)}


# -- what the trackers need ------------------------------------------------------------------------


def _import(name: str) -> Any:
    """Import a tracker.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}. To install it: pip install adamily[track]", name=error.name
        ) from error


def _import_trackio(folder: str | Path | None) -> Any:
    """Import trackio, which reads the place of its databases once, from the environment.

    Raises:
        RuntimeError: it was imported before with another folder.
    """
    folder = os.environ.get("TRACKIO_DIR") or folder
    if folder is None:
        return _import("trackio")
    folder = Path(folder).resolve()
    with _environment("TRACKIO_DIR", str(folder)):
        trackio = _import("trackio")
    used = Path(trackio.utils.TRACKIO_DIR).resolve()
    if used != folder:
        raise RuntimeError(f"trackio writes to {used} in this process, so not to {folder}")
    return trackio


def _setup_wandb(wandb: Any) -> Any:
    """W&B's settings from the environment and its files; it prints warnings and errors only."""
    # Without information there are no prompts either, whatever mode W&B ends up in.
    return wandb.setup(wandb.Settings(quiet=True, show_info=False)).settings


def _has_wandb_key(wandb: Any, settings: Any) -> bool:
    """Whether wandb.init would find credentials (WANDB_API_KEY, netrc, …) without asking."""
    try:
        from wandb.sdk.lib import wbauth

        found = wbauth.authenticate_session(
            host=settings.base_url, source="adamily", prompt=False, update_session=False
        )
    except (ImportError, AttributeError, TypeError):
        # Releases that cannot be asked without a prompt.
        return bool(os.environ.get("WANDB_API_KEY"))
    except wandb.Error as error:
        _log.warning("W&B goes on offline: %s", describe(error))
        return False
    return found is not None


def _make_writable(folder: Path) -> None:
    """Make a folder where missing.

    Raises:
        OSError: it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _no_stdout() -> contextlib.AbstractContextManager:
    """Swallow what is printed: trackio has no quiet mode."""
    return contextlib.redirect_stdout(io.StringIO())
