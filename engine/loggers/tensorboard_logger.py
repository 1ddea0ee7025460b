"""TensorBoard."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.loggers.logger import (
    Metrics,
    RunInfo,
    flatten,
    import_tracker,
    make_writable,
    numbers,
    title_of,
)


class TensorBoardLogger:
    """TensorBoard event files in the `tensorboard` folder inside the run's.

    The config and the summary are texts.

    Args:
        flush_seconds: how long a metric may wait in memory.
    """

    def __init__(self, flush_seconds: float = 30.0):
        self.flush_seconds = flush_seconds

    def start(self, info: RunInfo) -> None:
        folder = info.folder / "tensorboard"
        make_writable(folder)
        import_tracker("tensorboard")
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
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, step)

    def show(self, artifact: Path, step: int) -> None:
        # As SummaryWriter.add_video does, which would want the pictures and encode them anew.
        summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        image = summary.Image(encoded_image_string=artifact.read_bytes(), colorspace=3)
        value = summary.Value(tag=title_of(artifact), image=image)
        self._writer.file_writer.add_summary(summary(value=[value]), step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._write_yaml("summary", flatten(summary))
        self._writer.close()

    def _write_yaml(self, tag: str, content: dict[str, Any]) -> None:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        # Four spaces make it a code block in TensorBoard's Markdown.
        self._writer.add_text(tag, re.sub("^", "    ", text, flags=re.MULTILINE), self._step)
