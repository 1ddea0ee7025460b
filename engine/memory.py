"""How much memory a run needs at the least."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from engine.devices import available
from engine.groups import groups_of, without_groups
from engine.make import make_optimizer
from tasks import room
from tasks.room import check_room
from tasks.task import Task

# Shape of a parameter that an optimizer's state is measured on: a matrix, since some take nothing
# else, with as many elements as no other tensor has that it may keep.
MEASURED = (31, 37)

# Numbers that no optimizer keeps more of for a parameter.
MOST_STATE = 16


def check_memory(task: Task, config: dict[str, Any]) -> None:
    """Refuse a run that cannot fit: weights, gradients, the optimizer's state and the task's own.

    Args:
        task: on the "meta" device.
        config: of the run.

    Raises:
        tasks.sources.DataError: there is less memory than that.
    """
    names = config["names"]
    trained = bytes_of(p for p in task.model.parameters() if p.requires_grad)
    weights = bytes_of([*task.model.parameters(), *task.model.buffers()])
    there = memory_of(available(config["train"]["device"])[0])
    least = weights + trained + task.memory
    if least + MOST_STATE * trained <= there:
        return  # whatever the optimizer keeps, and without a step of it
    check_room(
        f"task={names['task']} optim={names['optim']}",
        "make the model, its batches or its number of trials smaller",
        memory=least + round(trained * state_size(config)),
        available=there,
    )


def bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def memory_of(device: torch.device) -> int:
    """Of a GPU all that it has, since other runs may still let go of it."""
    if device.type == "cpu":
        return room.available_memory()
    return torch.cuda.get_device_properties(device).total_memory


def state_size(config: dict[str, Any]) -> float:
    """Bytes of the optimizer's state for a byte of parameters, as a step on a few of them shows.

    Of several optimizers it is what the thriftiest keeps, 0 where that is not known.
    """
    others = (group.settings for group in groups_of(config["optim"]).values())
    every = [without_groups(config["optim"]), *(one for one in others if "_target_" in one)]
    return min(map(measured, every))


def measured(settings: dict[str, Any]) -> float:
    parameter = torch.nn.Parameter(torch.zeros(MEASURED))
    parameter.grad = torch.zeros(MEASURED)
    uncompiled = {"compile": False} if settings.get("compile") else {}
    optim = settings | uncompiled | {"_partial_": True}
    try:
        optimizer = make_optimizer({"optim": optim}, nn.ParameterList([parameter]))
        optimizer.step()
    except Exception:  # it takes more than this to step: then its state is not known
        return 0.0
    kept = [value for value in optimizer.state[parameter].values() if isinstance(value, Tensor)]
    return bytes_of(t for t in kept if t.numel() == parameter.numel()) / bytes_of([parameter])
