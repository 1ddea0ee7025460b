"""What a run is made of, from its config: task, optimizer, schedule, loggers."""

import copy
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.checks import BadInput
from engine.texts import shorten


def make_task(config: dict[str, Any], device: Any) -> Any:
    """The task of a run.

    Raises:
        tasks.sources.DataError: it needs its data at once, and they are not what the config says.
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


def outline(config: dict[str, Any]) -> Any:
    """The task of a run without memory, on the "meta" device; one for all that ask for the same.

    Raises:
        tasks.sources.DataError: as `make_task`.
    """
    parts = ("task", "seed", "paths")
    return _outline(json.dumps({part: config[part] for part in parts}))


@lru_cache(maxsize=8)
def _outline(text: str) -> Any:
    import torch

    return make_task(json.loads(text), torch.device("meta"))


def let_go_of_outlines() -> None:
    """Free what they hold, once all is checked and ready."""
    _outline.cache_clear()


def make_optimizer(config: dict[str, Any], parameters: Iterable[Any]) -> Any:
    from hydra.utils import instantiate

    from engine import process, startup

    if process.is_own:
        startup.defer_compiler()
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
    """Make all that a run is made of: the task without memory, the optimizer for one parameter."""
    import torch
    from hydra.errors import InstantiationException

    from engine.loggers import Logger
    from engine.metrics import check_declared
    from tasks.sources import DataError
    from tasks.task import Task

    chosen = config["names"]
    part = f"task={chosen['task']}"
    try:
        task = outline(config)
        check_kind(task, Task, part)
        check_declared(config)
        part = f"optim={chosen['optim']}"
        optimizer = make_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
        check_kind(optimizer, torch.optim.Optimizer, part)
        part = f"schedule={chosen['schedule']}"
        make_schedule(config, optimizer, task.steps)
        part = "logger"
        for logger in make_loggers(config):
            check_kind(logger, Logger, part)
    except (BadInput, DataError):
        raise
    except Exception as error:  # whatever a class says of what it cannot take
        cause = error.__cause__ if isinstance(error, InstantiationException) else None
        reason = str(cause or error).partition("\n")[0]
        raise BadInput(f"{part}: {reason or type(cause or error).__name__}") from error


def check_kind(made: Any, kind: type, part: str) -> None:
    if not isinstance(made, kind):
        raise BadInput(f"{part}: its _target_ makes {shorten(repr(made))}, and no {kind.__name__}")
