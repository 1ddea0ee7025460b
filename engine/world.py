"""Whether this process trains a run alone or as one of several: read here and nowhere else.

torchrun sets variables for that in the environment of its processes. A process without WORLD_SIZE,
or with WORLD_SIZE=1, is alone: then a rank that a shell or another launcher has set is ignored.
"""

import os

from engine.checks import BadInput

# Numbers besides WORLD_SIZE that torchrun sets and several processes need.
REQUIRED_NUMBERS = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")


def world_size() -> int:
    """How many processes train the run."""
    return number_from("WORLD_SIZE") or 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return number_from("RANK") or 0 if world_size() > 1 else 0


def local_world_size() -> int:
    """How many of those processes are on this machine."""
    return number_from("LOCAL_WORLD_SIZE") or 1 if world_size() > 1 else 1


def local_rank() -> int:
    """The number of this process among those on this machine, from 0."""
    return number_from("LOCAL_RANK") or 0 if world_size() > 1 else 0


def number_from(name: str) -> int | None:
    """The number in a variable of the environment; None where there is none."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None


def check() -> None:
    """Raise BadInput unless the environment has all that torchrun sets, or is of one process."""
    text = os.environ.get("WORLD_SIZE")
    if text is not None and not number_from("WORLD_SIZE"):
        raise BadInput(f"WORLD_SIZE={text}: must be a whole number above 0; {remedy()}")
    if world_size() == 1:
        return
    missing = [name for name in REQUIRED_NUMBERS if number_from(name) is None]
    missing += [] if os.environ.get("MASTER_ADDR") else ["MASTER_ADDR"]
    if missing:
        raise BadInput(f"WORLD_SIZE={text} without {', '.join(missing)}: {remedy()}")
    for rank_name, count_name in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        rank_text, count = os.environ[rank_name], os.environ[count_name]
        if int(rank_text) >= int(count):
            raise BadInput(f"{rank_name}={rank_text} with {count_name}={count}: {remedy()}")


def check_one_run(command: str) -> None:
    """Raise BadInput where several processes are to carry out a command for many runs."""
    check()
    if world_size() > 1:
        raise BadInput(
            f"{command}: torchrun trains one run by several processes; for many runs leave "
            f"torchrun out and set sweep.devices_per_run={world_size()}"
        )


def remedy() -> str:
    return "start several processes by torchrun, or unset WORLD_SIZE to train by one"
