"""The one list of metric names: every task, logger, table and figure uses these."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        label: what stands on an axis.
        better: which direction is an improvement, or None where neither is.
        log: whether its axis is logarithmic.
    """

    label: str
    better: Literal["min", "max"] | None = None
    log: bool = False


METRICS = {
    # Mean over the steps since the evaluation before, in training mode.
    "train/loss": Metric("training loss", "min", log=True),
    "test/loss": Metric("test loss", "min", log=True),
    # A fraction between 0 and 1.
    "test/accuracy": Metric("test accuracy", "max"),
    # The learning rate of the step just taken (first parameter group).
    "lr": Metric("learning rate"),
    # Mean over all parameters of |θ_after - θ_before| for the step just taken.
    "optim/mean_abs_step": Metric("mean absolute step", log=True),
}

# Sent to loggers about once a second while a run trains. They depend on the clock, so they are no
# part of a run's record.
LIVE_METRICS = {
    "train/recent_loss": Metric("training loss (recent steps)", "min", log=True),
    "perf/steps_per_second": Metric("steps per second", "max"),
}


def finite_or_none(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """What strict JSON can hold: None stands for NaN and for the infinities."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def improves(name: str, value: float | None, best: float | None) -> bool:
    """Whether `value` is strictly better than `best`; None is worse than any number."""
    if value is None or METRICS[name].better is None:
        return False
    if best is None:
        return True
    return value < best if METRICS[name].better == "min" else value > best
