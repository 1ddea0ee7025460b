"""TensorBoard."""

import importlib
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

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

SECONDS = "time/train_seconds"
# What an event file holds once the run has ended, as the plugin for hyperparameters has it.
END = b"_hparams_/session_end_info"
# What some system does not allow in the name of a folder.
NOT_IN_FOLDERS = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


class TensorBoardLogger:
    """TensorBoard event files, in a folder for each run, with its hyperparameters.

    A run's folder is GROUP/NAME, which is what TensorBoard calls it; the names of the files in it
    end with the run's id. The config and the summary are texts. On the axis "Relative",
    evaluations stand at the seconds of training so far.

    Args:
        dir: folder of all runs' folders, made if missing.
        flush_seconds: how long a metric may wait in memory.
    """

    def __init__(self, dir: str | Path = "runs/.tensorboard", flush_seconds: float = 30.0):
        self.dir = dir
        self.flush_seconds = flush_seconds

    def start(self, info: RunInfo) -> None:
        make_writable(Path(self.dir))
        import_tracker("tensorboard")
        tensorboard = importlib.import_module("torch.utils.tensorboard")
        earlier = files_of(Path(self.dir), info.id)
        folder = earlier[0].parent if earlier else self._folder(info)
        for path in earlier if info.step == 0 else ():
            path.unlink()
        self._step = info.step
        self._began = datetime.fromisoformat(info.started).timestamp() if info.started else None
        self._writer = tensorboard.SummaryWriter(
            str(folder),
            # Steps from here on were logged by a start that was interrupted.
            purge_step=info.step + 1 if info.step else None,
            flush_secs=int(self.flush_seconds),
            filename_suffix=f".{info.id}",
        )
        about = {"name": info.name, "group": info.group, "tags": list(info.tags), **info.made}
        self._write_yaml("config", {**about, "config": info.config})
        hparams = importlib.import_module("tensorboard.plugins.hparams.summary_v2")
        # Without a summary of the experiment: TensorBoard then lists what all runs have.
        name = folder.relative_to(self.dir).as_posix()
        self._add(hparams.hparams_pb(info.settings, trial_id=name, start_time_secs=self._began))

    def log(self, metrics: Metrics, step: int) -> None:
        self._step = step
        seconds = metrics.get(SECONDS)
        time = None if self._began is None or seconds is None else self._began + seconds
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, step, walltime=time)

    def show(self, artifact: Path, step: int) -> None:
        # As SummaryWriter.add_video does, which would want the pictures and encode them anew.
        summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        image = summary.Image(encoded_image_string=artifact.read_bytes(), colorspace=3)
        value = summary.Value(tag=title_of(artifact), image=image)
        self._add(summary(value=[value]), step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._write_yaml("summary", flatten(summary))
        if summary["status"] in ENDED:
            diverged = summary["status"] == "diverged"
            # A column of the table of hyperparameters, which shows numbers alone.
            step = summary.get("diverged_at") or self._step
            self._writer.add_scalar("diverged", float(diverged), step)
            self._add(end_of_session(failed=diverged))
        self._writer.close()

    def logged(self, folders: Iterable[Path]) -> set[str]:
        """The ids of those runs, by their folders, whose event files are complete."""
        asked = {folder.name for folder in folders}
        files = [path for path in Path(self.dir).rglob("events.*") if id_of(path) in asked]
        return {id_of(path) for path in files if END in path.read_bytes()}

    def opened(self, runs: Path) -> str:
        """The command that serves the page."""
        return f"To look at them: tensorboard --logdir {shlex.quote(str(self.dir))}"

    def _folder(self, info: RunInfo) -> Path:
        """A new run's folder; where another run has one of that name, with the id behind it."""
        folder = Path(self.dir, *info.group.split("/"), plain(info.name))
        return folder.with_name(f"{folder.name} {info.id}") if folder.exists() else folder

    def _add(self, summary: Any, step: int | None = None) -> None:
        self._writer.file_writer.add_summary(summary, step)

    def _write_yaml(self, tag: str, content: dict[str, Any]) -> None:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        # Four spaces make it a code block in TensorBoard's Markdown.
        self._writer.add_text(tag, re.sub("^", "    ", text, flags=re.MULTILINE), self._step)


def files_of(folder: Path, run_id: str) -> list[Path]:
    """The event files of a run."""
    return sorted(folder.rglob(f"events.*.{run_id}"))


def id_of(path: Path) -> str:
    """The id of the run that an event file is of."""
    return path.suffix.removeprefix(".")


def plain(name: str) -> str:
    """A name as that of a folder."""
    return NOT_IN_FOLDERS.sub("_", name)[:120].strip(" .")


def end_of_session(failed: bool) -> Any:
    """The summary by which the plugin for hyperparameters knows how a run ended."""
    parts = ("metadata", "plugin_data_pb2", "api_pb2")
    metadata, data, api = (
        importlib.import_module(f"tensorboard.plugins.hparams.{part}") for part in parts
    )
    summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
    status = api.STATUS_FAILURE if failed else api.STATUS_SUCCESS
    content = data.HParamsPluginData(session_end_info=data.SessionEndInfo(status=status))
    value = summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return summary(value=[value])
