"""The metrics of a run: of its last evaluation, and the best of all."""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from torch import Tensor

from engine.json_lines import finite_or_none
from engine.metrics import improves
from tasks.task import Task


class Evaluations:
    """The results of the evaluations so far.

    Attributes:
        final: the metrics of the last one; None stands for what is not finite.
        best: of each metric that has a direction, the best value and its step.
        trials: of the last one, the single values of those metrics that are means over trials.
        all_finite: whether all metrics of the last one are finite.
    """

    def __init__(self, metrics: Mapping[str, Any]):
        self._metrics = metrics
        self.final: dict[str, float | None] = {}
        self.best: dict[str, dict[str, Any]] = {}
        self.trials: dict[str, list[float]] = {}
        self.all_finite = True

    def add(self, values: Mapping[str, float | Tensor], step: int) -> dict[str, float]:
        """Add the values of an evaluation; return them as metrics, tensors as their means.

        Raises:
            ValueError: a metric that is neither a common one nor declared.
        """
        if undeclared := values.keys() - self._metrics.keys():
            names = ", ".join(sorted(undeclared))
            raise ValueError(f"{names}: no common metric, and the task's `metrics` lack it")
        self.trials = {
            name: value.flatten().tolist()
            for name, value in values.items()
            if isinstance(value, Tensor) and value.dim()
        }
        metrics = {
            name: fmean(self.trials[name]) if name in self.trials else float(value)
            for name, value in values.items()
        }
        self.all_finite = all(map(math.isfinite, metrics.values()))
        self.final = finite_or_none(metrics)
        for name, value in self.final.items():
            if improves(self._metrics[name], value, self.best.get(name, {}).get("value")):
                self.best[name] = {"value": value, "step": step}
        return metrics

    def headline(self, task: Task) -> dict[str, float]:
        """The task's headline metric, where the last evaluation has it."""
        value = self.final.get(task.headline)
        return {} if value is None else {task.headline: value}

    def state_dict(self) -> dict[str, Any]:
        return {"final": self.final, "best": self.best, "trials": self.trials}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.final, self.best, self.trials = state["final"], state["best"], state["trials"]
