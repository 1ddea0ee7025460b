"""The objects of a run, made from its config: task, optimizer, schedule, loggers."""

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.checks import BadInput, check_kind, is_count, refusal


def make_task(config: dict[str, Any], device: Any) -> Any:
    """The task of a run.

    Raises:
        tasks.sources.DataError: its constructor reads data that are not what the config says.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from tasks.sources import DataError

    root = Path(config["paths"]["data"])
    try:
        return instantiate(
            copy.deepcopy(config["task"]),
            seed=config["seed"],
            device=device,
            root=root,
            _convert_="all",
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        raise


def meta_task(config: dict[str, Any]) -> Any:
    """The task of a run on the "meta" device, without memory; runs of the same task share it.

    Raises:
        tasks.sources.DataError: as `make_task`.
    """
    parts = ("task", "seed", "paths")
    return _meta_task(json.dumps({part: config[part] for part in parts}))


@lru_cache(maxsize=8)
def _meta_task(text: str) -> Any:
    import torch

    return make_task(json.loads(text), torch.device("meta"))


def clear_meta_tasks() -> None:
    """Free the tasks that `meta_task` keeps."""
    _meta_task.cache_clear()


def make_optimizer(config: dict[str, Any], model: Any) -> Any:
    from hydra.utils import instantiate

    from engine import grouped, process, startup

    if process.for_runs_only:
        startup.defer_compiler()
    if "groups" in config["optim"]:
        return grouped.make(config, model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return instantiate(config["optim"], _convert_="all")(parameters)


def make_loggers(config: dict[str, Any]) -> list[Any]:
    """The loggers, not started."""
    from hydra.utils import instantiate

    chosen = (config.get("logger") or {}).values()
    return [instantiate(logger, _convert_="all") for logger in chosen]


def make_schedule(config: dict[str, Any], optimizer: Any, total_steps: int) -> Any:
    from hydra.utils import instantiate

    return instantiate(config["schedule"], _convert_="all")(optimizer, total_steps)


def check_classes(config: dict[str, Any]) -> None:
    """Make all objects of a run once, without memory for its parameters, to check them."""
    import torch

    from engine.loggers import Logger
    from engine.metrics import check_observations
    from engine.optimizers import members
    from tasks.sources import DataError
    from tasks.task import Task

    chosen = config["names"]
    part = f"task={chosen['task']}"
    try:
        task = meta_task(config)
        check_kind(task, Task, part)
        check_task(part, task)
        part = f"optim={chosen['optim']}"
        optimizer = make_optimizer(config, with_zero_parameters(task.model))
        check_kind(optimizer, torch.optim.Optimizer, part)
        for member in members(optimizer):
            check_observations(part, member)
        check_optimizer(optimizer, task, config)
        part = f"schedule={chosen['schedule']}"
        make_schedule(config, optimizer, task.steps)
        part = "logger"
        for logger in make_loggers(config):
            check_kind(logger, Logger, part)
    except (BadInput, DataError):
        raise
    except Exception as error:  # whatever a class raises for arguments that it cannot take
        raise refusal(part, error) from error


def check_task(where: str, task: Any) -> None:
    """Refuse a task that lacks what the loop asks of it."""
    import torch

    from engine.metrics import check_task_metrics

    if not isinstance(getattr(task, "model", None), torch.nn.Module):
        raise BadInput(f"{where}: it sets no model, which must be a torch.nn.Module")
    for name in ("steps", "eval_every"):
        if not is_count(getattr(task, name, None)):
            raise BadInput(f"{where}: it sets no {name}, which must be a whole number above 0")
    check_task_metrics(where, task)


def with_zero_parameters(model: Any) -> Any:
    """A copy of a model on "meta" whose parameters are on the CPU, each a single expanded zero.

    An optimizer's constructor may look at its parameters: at their shapes, their device (as torch's
    fused ones do), or their values, from which its state may begin.
    """
    import torch

    model = copy.deepcopy(model)
    zero_parameters: dict[Any, Any] = {}
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False, remove_duplicate=False):
            if p not in zero_parameters:
                zeros = torch.zeros((), dtype=p.dtype).expand(p.shape)
                zero_parameters[p] = torch.nn.Parameter(zeros, requires_grad=p.requires_grad)
            module.register_parameter(name, zero_parameters[p])
    return model


def check_optimizer(optimizer: Any, task: Any, config: dict[str, Any]) -> None:
    """Refuse an optimizer that needs what this run cannot provide."""
    from engine.optimizers import needs_closure
    from tasks.task import Task

    names = config["names"]
    if any("lr" not in group for group in optimizer.param_groups):
        raise BadInput(f"optim={names['optim']}: it has no lr, which a schedule sets")
    if not needs_closure(optimizer):
        return
    reason = f"optim={names['optim']} calls the loss several times in a step"
    if config["precision"] == "fp16":
        raise BadInput(f"precision=fp16: {reason}, which a gradient scaler cannot follow")
    if type(task).state_dict is not Task.state_dict:
        raise BadInput(f"task={names['task']}: {reason}, and this task goes on with each call")
