"""All metrics: the common ones, and those that tasks and optimizers declare."""

import itertools
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import search_path
from engine.checks import BadInput
from engine.texts import spell
from engine.yaml_files import YamlError, read_yaml
from tasks.metrics import Metric

if TYPE_CHECKING:
    from tasks.task import Task

log = logging.getLogger("adamily")

# What an observer sees of an optimizer's step, and so only where a step was observed.
OF_A_STEP: Mapping[str, Metric] = {
    # Mean over all parameters of |θ_after - θ_before| for the step just taken, without decoupled
    # weight decay.
    "optim/mean_abs_step": Metric("mean absolute step", log=True),
}

COMMON: Mapping[str, Metric] = {
    # Mean over the steps since the evaluation before, in training mode.
    "train/loss": Metric("training loss", "min", log=True),
    # Over all training data, without augmentation, in evaluation mode.
    "train/eval_loss": Metric("training loss (evaluation mode)", "min", log=True),
    "valid/loss": Metric("validation loss", "min", log=True),
    "test/loss": Metric("test loss", "min", log=True),
    # A fraction between 0 and 1.
    "valid/accuracy": Metric("validation accuracy", "max"),
    "test/accuracy": Metric("test accuracy", "max"),
    # The learning rate of the step just taken (first parameter group).
    "lr": Metric("learning rate"),
    **OF_A_STEP,
    # Passes over the training data, of tasks that make them.
    "epoch": Metric("epoch"),
    # Time that optimizer steps took, their data included, without evaluations and checkpoints.
    "time/train_seconds": Metric("training time, seconds"),
}

# Sent to loggers about once a second while a run trains, and in no record.
LIVE = {
    "train/recent_loss": Metric("training loss (recent steps)", "min", log=True),
    "perf/steps_per_second": Metric("steps per second", "max"),
    "perf/frames_per_second": Metric("frames per second", "max"),
}


# -- of a run --------------------------------------------------------------------------------------


def metrics_of(task: "Task", optimizers: Iterable[Any]) -> dict[str, Any]:
    """All metrics that a run may report: the common ones, its task's and its optimizers'."""
    from optim.observation import observations_of  # imports torch

    metrics: dict[str, Any] = {**COMMON, **task.metrics}
    for optimizer in optimizers:
        metrics |= observations_of(optimizer)
    return metrics


def headline_of(config: Mapping[str, Any]) -> str:
    """The metric that says best how a run went."""
    return getattr(import_target(config["task"]["_target_"]), "headline", "train/loss")


def check_task_metrics(where: str, task: "Task") -> None:
    """Raise BadInput where a task declares metrics that cannot be shown."""
    check_mapping(f"{where}: metrics", task.metrics, "Metric of tasks.metrics")
    for name, metric in task.metrics.items():
        check_metric(f"{where}: metric {spell(name)}", name, metric)
        if not isinstance(metric, Metric):
            raise BadInput(f"{where}: metric {spell(name)}: must be a Metric of tasks.metrics")
        if not isinstance(metric.binary, bool):
            what = f"metric {spell(name)}: binary={spell(metric.binary)}"
            raise BadInput(f"{where}: {what}: must be true or false")
        if metric.reached not in {None, *task.metrics}:
            what = f"metric {spell(name)}: reached={spell(metric.reached)}"
            raise BadInput(f"{where}: {what}: no metric of the task")
    if task.headline not in {**COMMON, **task.metrics}:
        raise BadInput(f"{where}: headline {spell(task.headline)}: no metric of this name")


def check_observations(where: str, optimizer: Any) -> None:
    """Raise BadInput where an optimizer declares observations that cannot be made or shown."""
    from optim.observation import Observation, observations_of  # imports torch

    observations = observations_of(optimizer)
    check_mapping(f"{where}: observations", observations, "optim.Observation")
    for name, observation in observations.items():
        check_metric(f"{where}: observation {spell(name)}", name, observation)
        if not isinstance(observation, Observation):
            raise BadInput(f"{where}: observation {spell(name)}: must be an optim.Observation")


def check_mapping(where: str, declared: Any, kind: str) -> None:
    if not isinstance(declared, Mapping):
        raise BadInput(f"{where}: must be a mapping of names, each to a {kind}")


def check_metric(where: str, name: Any, metric: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name):
        raise BadInput(f"{where}: a name must be letters, digits, _, - and /, as in test/accuracy")
    if name in COMMON and metric != COMMON[name]:
        raise BadInput(f"{where}: is a common metric with another meaning; choose another name")
    if getattr(metric, "better", None) not in ("min", "max", None):
        raise BadInput(f"{where}: better={spell(metric.better)}: must be min, max or None")


# -- of all ----------------------------------------------------------------------------------------


def find_metric(name: str) -> Metric | None:
    """A common metric, or the first one of this name that a class on the search path declares."""
    if name in COMMON:
        return COMMON[name]
    candidates = (declared(*target).get(name) for target in targets(search_path.folders()))
    return next(filter(None, candidates), None)


def metric_named(name: str) -> Metric:
    """As `find_metric`; a metric that is unknown here, as of another machine, has only a name."""
    return find_metric(name) or Metric(name)


def reached_of(name: str) -> str | None:
    """The metric that says whether a metric was reached, where there is one."""
    return getattr(metric_named(name), "reached", None)


def is_binary(name: str) -> bool:
    """Whether each trial's value of a metric is 0 or 1."""
    return getattr(metric_named(name), "binary", False)


def names_of_all() -> list[str]:
    """The names of all metrics, the common ones first."""
    others = (declared(*target) for target in targets(search_path.folders()))
    return list(dict.fromkeys([*COMMON, *itertools.chain(*others)]))


def in_order(names: Iterable[str]) -> list[str]:
    """The common ones first, in the order of their list, then the others by their names."""
    present = set(names)
    return [*filter(present.__contains__, COMMON), *sorted(present - COMMON.keys())]


@cache
def targets(folders: tuple[Path, ...]) -> list[tuple[str, str]]:
    """The classes that the YAML files of tasks and optimizers name, each as (part, class).

    Classes of packages that are already imported come first: others may take seconds to import.
    """
    unique = dict.fromkeys(targets_in(folders))
    return sorted(unique, key=lambda target: target[1].partition(".")[0] not in sys.modules)


def targets_in(folders: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The same, in the order of the files, with repetitions."""
    for part, folder in itertools.product(("task", "optim"), folders):
        for path in search_path.yaml_files(folder / part):
            try:
                content = read_yaml(path)
            except YamlError:  # whoever asks for the task hears of it
                continue
            if isinstance(content, dict) and isinstance(content.get("_target_"), str):
                yield part, content["_target_"]


@cache
def declared(part: str, target: str) -> Mapping[str, Any]:
    """The metrics that a class declares: a task's `metrics`, an optimizer's `observations`."""
    from optim.observation import observations_of  # imports torch

    cls = import_target(target)
    metrics = getattr(cls, "metrics", {}) if part == "task" else observations_of(cls)
    return metrics if isinstance(metrics, Mapping) else {}


@cache
def import_target(target: str) -> Any:
    """A class or function by its path; None where it cannot be imported, as an extra is missing."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # whatever an outside module raises
        log.debug("%s: %s", target, error)
        return None


# -- values ----------------------------------------------------------------------------------------


def improves(metric: Metric, value: float | None, best: float | None) -> bool:
    """Whether `value` is strictly better than `best`; None is worse than any number."""
    if value is None or metric.better is None:
        return False
    if best is None:
        return True
    return value < best if metric.better == "min" else value > best
