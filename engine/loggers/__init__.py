"""Experiment trackers: Weights & Biases, trackio and TensorBoard behind four calls.

A logger has `start(info)`, `log(metrics, step)`, `show(artifact, step)` and `finish(summary)`; its
constructor takes the options in `conf/logger/NAME.yaml` and does nothing else. The trackers
themselves are optional and slow to import, so each is imported when its logger starts. A training
loop uses `Loggers`: whatever happens to a tracker, the run goes on. One that has `logged(folders)`,
too, is a `Dashboard`, to which `replay` sends runs that ended before.

A step is the number of optimizer steps done. When a run is resumed from step N, the trackers keep
what they have up to N; what was logged beyond N before the interruption appears once.
"""

from engine.loggers.info import RunInfo, describe_run, ending
from engine.loggers.logger import Dashboard, Logger, Loggers, describe, flatten
from engine.loggers.replay import replay
from engine.loggers.tensorboard_logger import TensorBoardLogger
from engine.loggers.trackio_logger import TrackioLogger
from engine.loggers.wandb_logger import WandbLogger

__all__ = [
    "Dashboard",
    "Logger",
    "Loggers",
    "RunInfo",
    "TensorBoardLogger",
    "TrackioLogger",
    "WandbLogger",
    "describe",
    "describe_run",
    "ending",
    "flatten",
    "replay",
]
