"""The device that is to be measured, and what may stand in the way of a GPU."""

import torch

from engine.checks import BadInput
from engine.devices import available
from scripts.bench.parts import sentence


def device_of(asked: str) -> torch.device:
    """The device of `device=…`.

    Raises:
        BadInput: a GPU that is not there, or that PyTorch cannot use, as with an older driver.
    """
    try:
        device = available(asked)[0]
    except BadInput as error:
        why = cuda_error()
        said = str(error).removeprefix("train.")
        raise BadInput(f"{said}: {why}" if why else said) from error
    # The driver is asked how many GPUs there are, also where PyTorch is built for a newer one.
    if device.type == "cuda" and (why := cuda_error()):
        raise BadInput(f"device={asked}: PyTorch cannot use the GPU that is there: {why}")
    return device


def cuda_error() -> str:
    """Why PyTorch cannot use a GPU, in its own words; nothing where it can."""
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError) as error:
        return sentence(error)
    return ""
