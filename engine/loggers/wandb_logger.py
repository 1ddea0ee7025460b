"""Weights & Biases (W&B)."""

import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from engine.files import write_text
from engine.loggers.info import RunInfo
from engine.loggers.logger import (
    Metrics,
    describe,
    flatten,
    import_tracker,
    make_writable,
    numbers,
    title_of,
)
from engine.loggers.replay import send_recorded
from engine.record_files import ENDED
from engine.records import Record

EPOCH = "epoch"
# In a run's folder: the status with which W&B was sent it to its end.
END = "wandb/ended.txt"

_log = logging.getLogger("adamily")


class WandbLogger:
    """Weights & Biases: online where a key is configured, offline otherwise, and never a prompt.

    Files go to the `wandb` folder inside the run's; `wandb sync FOLDER` uploads an offline run.
    A run that starts at step 0 replaces what W&B has under its id. A resumed run continues it, and
    first sends what it has recorded but W&B has not received. Offline it sends everything: W&B
    keeps up to 32 kB in memory, which is lost with a killed process, and the offline folders of
    several sessions would have to be uploaded in the order of their dates. So the folder of the
    last session is complete and replaces the earlier ones. W&B is imported, and its service
    started, with the first run of a process.

    A run's config there is what runs are grouped by, `optim`, `lr`, `row`, `commit`, with _ for
    dots (`betas_1`). Curves are drawn over epochs where a task has any. A diverged run has a tag.

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
        # W&B would write to /tmp without a warning.
        make_writable(info.folder)
        self._end = info.folder / END
        self._end.unlink(missing_ok=True)
        self._by_epochs = False
        wandb = import_tracker("wandb")
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
        if info.step:  # what W&B does not have of the steps before
            send_recorded(Record(info.folder, info.config), self, info.step)
        if self._run.offline:
            self._remove_earlier_offline_runs(info)
        if mode == "online" and not self._run.offline:
            _log.info("W&B: %s", self._run.url)

    def log(self, metrics: Metrics, step: int) -> None:
        if step < self._step:
            return
        self._step = step
        if not self._by_epochs and EPOCH in metrics:
            self._run.define_metric("*", step_metric=EPOCH)
            self._by_epochs = True
        self._run.log(numbers(metrics), step=step)

    def show(self, artifact: Path, step: int) -> None:
        if step >= self._step:
            wandb, path = import_tracker("wandb"), str(artifact)
            video = artifact.suffix == ".gif"
            shown = wandb.Video(path, format="gif") if video else wandb.Image(path)
            self._run.log({title_of(artifact): shown}, step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        status = summary["status"]
        self._run.summary.update(flatten(summary))
        if status == "diverged":
            self._run.tags = (*self._run.tags, status)
        self._run.finish(exit_code=1 if status == "failed" else 0)
        if status in ENDED and self._end.parent.exists():
            write_text(self._end, f"{status}\n")

    def logged(self, folders: Iterable[Path]) -> set[str]:
        """The ids of those runs, by their folders, that W&B was sent to their end, or has kept.

        Where it is disabled, all: it wants none.
        """
        if self._is_disabled:
            return {folder.name for folder in folders}
        return {folder.name for folder in folders if (folder / END).exists()}

    def opened(self, runs: Path) -> str:
        """Where they are, or the command that uploads them."""
        if self._is_disabled:
            return "W&B is disabled, by logger.wandb.mode or WANDB_MODE: it keeps nothing"
        if self.is_online:
            return f"To look at them: project {self.project} of your account at W&B"
        folders = f"{shlex.quote(str(runs))}/*/*/*/wandb/offline-run-*"
        return f"W&B is offline; to upload them: wandb sync {folders}"

    @property
    def _is_disabled(self) -> bool:
        return (self.mode or os.environ.get("WANDB_MODE")) == "disabled"

    @property
    def is_online(self) -> bool:
        """Whether runs are uploaded when they are logged."""
        return self._choose_mode(import_tracker("wandb")) == "online"

    def _remove_earlier_offline_runs(self, info: RunInfo) -> None:
        for folder in info.folder.glob(f"wandb/offline-run-*-{info.id}"):
            if folder != Path(self._run.dir).parent:
                shutil.rmtree(folder)

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
            config={column_name(key): value for key, value in info.columns.items()},
            dir=str(info.folder),
            mode=mode,
            # "allow" at step 0 would keep an older run's curve under a new run's summary.
            resume="allow" if info.step and mode == "online" else None,
            # The default hands back the run of a training loop that was cut short.
            reinit="finish_previous",
            settings=self._settings(wandb, silent=mode != "online"),
        )

    def _settings(self, wandb: Any, silent: bool) -> Any:
        """Settings without code, git, console and machine data, which the run's record has."""
        settings = {
            "console": "off",
            "silent": silent,
            "disable_code": True,
            "disable_git": True,
            "disable_job_creation": True,
            "save_code": False,
            "symlink": False,
            "init_timeout": self.init_timeout,
            "finish_timeout": self.finish_timeout,
            "x_disable_stats": not self.system_metrics,
            "x_disable_meta": True,
            "x_disable_machine_info": not self.system_metrics,
            "x_save_requirements": False,
        }
        # Each release refuses settings that it does not know.
        known = wandb.Settings.model_fields
        return wandb.Settings(**{name: value for name, value in settings.items() if name in known})


def column_name(key: str) -> str:
    """What W&B has a setting as; it reads a dot in a name as a level."""
    return key.replace(".", "_")


def _setup_wandb(wandb: Any) -> Any:
    """W&B's settings from the environment and its files; it prints only warnings and errors."""
    # With show_info=False there are no prompts either, in any mode.
    return wandb.setup(wandb.Settings(quiet=True, show_info=False)).settings


def _has_wandb_key(wandb: Any, settings: Any) -> bool:
    """Whether wandb.init would find credentials (WANDB_API_KEY, netrc, …) without asking."""
    try:
        from wandb.sdk.lib import wbauth

        credentials = wbauth.authenticate_session(
            host=settings.base_url, source="adamily", prompt=False, update_session=False
        )
    except (ImportError, AttributeError, TypeError):
        # This release cannot be asked without a prompt.
        return bool(os.environ.get("WANDB_API_KEY"))
    except wandb.Error as error:
        _log.warning("W&B goes on offline: %s", describe(error))
        return False
    return credentials is not None
