"""The least memory that a run needs."""

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

# The shape of the parameter on which an optimizer's state is measured: a matrix, since some take
# nothing else, with a number of elements that no other tensor in the state is likely to have.
MEASURED_SHAPE = (31, 37)

# No optimizer keeps more numbers than this for a parameter.
MAX_STATE_RATIO = 16


def check_memory(task: Task, config: dict[str, Any]) -> None:
    """Refuse a run that cannot fit: weights, gradients, the optimizer's state and the task's own.

    Args:
        task: on the "meta" device.
        config: of the run.

    Raises:
        tasks.sources.DataError: there is less memory than that.
    """
    names = config["names"]
    trained = total_bytes(p for p in task.model.parameters() if p.requires_grad)
    weights = total_bytes([*task.model.parameters(), *task.model.buffers()])
    available_bytes = memory_of(available(config["train"]["device"])[0])
    minimum = weights + trained + task.memory
    if minimum + MAX_STATE_RATIO * trained <= available_bytes:
        return  # it fits with any optimizer, so none needs to be measured
    check_room(
        f"task={names['task']} optim={names['optim']}",
        "make the model, its batches or its number of trials smaller",
        memory=minimum + round(trained * state_size(config)),
        available=available_bytes,
    )


def total_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def memory_of(device: torch.device) -> int:
    """The memory that may be used; all of a GPU's, since other runs may yet free theirs."""
    if device.type == "cpu":
        return room.available_memory()
    return torch.cuda.get_device_properties(device).total_memory


def state_size(config: dict[str, Any]) -> float:
    """Bytes of the optimizer's state for each byte of parameters, measured by one small step.

    For several optimizers it is the smallest; 0 where it is not known.
    """
    groups = groups_of(config["optim"]).values()
    own_optimizers = [group.settings for group in groups if "_target_" in group.settings]
    return min(map(measured_state_size, [without_groups(config["optim"]), *own_optimizers]))


def measured_state_size(settings: dict[str, Any]) -> float:
    parameter = torch.nn.Parameter(torch.zeros(MEASURED_SHAPE))
    parameter.grad = torch.zeros(MEASURED_SHAPE)
    uncompiled = {"compile": False} if settings.get("compile") else {}
    optim = settings | uncompiled | {"_partial_": True}
    try:
        optimizer = make_optimizer({"optim": optim}, nn.ParameterList([parameter]))
        optimizer.step()
    except Exception:  # it cannot step on so little, and its state stays unknown
        return 0.0
    state = [value for value in optimizer.state[parameter].values() if isinstance(value, Tensor)]
    like_parameter = [tensor for tensor in state if tensor.numel() == parameter.numel()]
    return total_bytes(like_parameter) / total_bytes([parameter])
