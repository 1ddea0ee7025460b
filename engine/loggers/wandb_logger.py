"""Weights & Biases (W&B)."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from engine.loggers.logger import (
    Metrics,
    RunInfo,
    describe,
    flatten,
    import_tracker,
    make_writable,
    numbers,
    title_of,
)
from engine.records import Record
from engine.run import artifacts_of

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
        self._send_recorded(info)
        if self._run.offline:
            self._remove_earlier_offline_runs(info)
        if mode == "online" and not self._run.offline:
            _log.info("W&B: %s", self._run.url)

    def log(self, metrics: Metrics, step: int) -> None:
        if step < self._step:
            return
        self._step = step
        self._run.log(numbers(metrics), step=step)

    def show(self, artifact: Path, step: int) -> None:
        if step >= self._step:
            wandb, path = import_tracker("wandb"), str(artifact)
            video = artifact.suffix == ".gif"
            shown = wandb.Video(path, format="gif") if video else wandb.Image(path)
            self._run.log({title_of(artifact): shown}, step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(flatten(summary))
        self._run.finish(exit_code=1 if summary.get("status") == "failed" else 0)

    def _send_recorded(self, info: RunInfo) -> None:
        """Send the metrics and artifacts up to the resumed step that W&B does not have."""
        for line in Record(info.folder, info.config).lines if info.step else []:
            step = line["step"]
            if step <= info.step:
                self.log({name: value for name, value in line.items() if name != "step"}, step)
                for artifact in artifacts_of(info.folder, step):
                    self.show(artifact, step)

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
            config=info.config,
            dir=str(info.folder),
            mode=mode,
            # "allow" at step 0 would keep an older run's curve under a new run's summary.
            resume="allow" if info.step and mode == "online" else None,
            # The default hands back the run of a training loop that was cut short.
            reinit="finish_previous",
            settings=self._settings(wandb),
        )

    def _settings(self, wandb: Any) -> Any:
        """Settings without code, git, console and machine data, which the run's record has."""
        settings = {
            "console": "off",
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
