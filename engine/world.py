"""Whether this process trains a run alone or as one of several: read here and nowhere else.

torchrun tells its processes so in their environment. Alone is a process without WORLD_SIZE, or with
one of 1: a rank that a shell or another launcher left behind then means nothing.
"""

import os

from engine.checks import BadInput

# What torchrun sets beside WORLD_SIZE, and several processes cannot do without.
NUMBERS = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")


def size() -> int:
    """How many processes train the run."""
    return number("WORLD_SIZE") or 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return number("RANK") or 0 if size() > 1 else 0


def local_size() -> int:
    """How many of them are on this machine."""
    return number("LOCAL_WORLD_SIZE") or 1 if size() > 1 else 1


def local_rank() -> int:
    """Which of those this one is, from 0."""
    return number("LOCAL_RANK") or 0 if size() > 1 else 0


def number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None


def check() -> None:
    """Raise BadInput unless the environment is that of one process, or all that torchrun sets."""
    told = os.environ.get("WORLD_SIZE")
    if told is not None and not number("WORLD_SIZE"):
        raise BadInput(f"WORLD_SIZE={told}: must be a whole number above 0; {remedy()}")
    if size() == 1:
        return
    missing = [name for name in NUMBERS if number(name) is None]
    missing += [] if os.environ.get("MASTER_ADDR") else ["MASTER_ADDR"]
    if missing:
        raise BadInput(f"WORLD_SIZE={told} without {', '.join(missing)}: {remedy()}")
    for rank_name, count_name in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        which, count = os.environ[rank_name], os.environ[count_name]
        if int(which) >= int(count):
            raise BadInput(f"{rank_name}={which} with {count_name}={count}: {remedy()}")


def remedy() -> str:
    return "start several processes by torchrun, or unset WORLD_SIZE to train by one"
