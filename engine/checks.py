"""Which values a run's config may hold."""

import math
import re
from collections.abc import Callable
from typing import Any

from engine.texts import did_you_mean, shorten, spell

PROFILES = ("paper", "short", "smoke", "custom")
SOURCES = ("full", "sample")
# In one study or command line: composing each config takes time, and more are likely a mistake.
MOST_RUNS = 10_000
PRECISIONS = ("fp32", "bf16", "fp16")
# Keys whose values are words.
CHOICES = {"data": SOURCES, "profile": PROFILES, "precision": PRECISIONS}


class BadInput(Exception):
    """Something typed or written in a config is wrong; the message is one sentence."""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def is_not_negative(value: Any) -> bool:
    return is_number(value) and value >= 0


def are_not_negative(value: Any) -> bool:
    """A number, or a list of numbers and nulls; the optimizer's class says which it takes."""
    items = value if isinstance(value, list) and value else [value]
    return all(item is None or is_not_negative(item) for item in items)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def are_betas(value: Any) -> bool:
    """Numbers in [0, 1). The optimizer itself checks a list nested in them, as MAdam has."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        return False
    return all(is_number(beta) and 0 <= beta < 1 for beta in value if not isinstance(beta, list))


def is_device(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", value) is not None


def is_path(value: Any) -> bool:
    """Not longer than file systems allow: 255 bytes for a name, and some hundred names."""
    if not is_name(value) or len(value) > 1000:
        return False
    return all(len(name.encode()) <= 255 for name in value.split("/"))


def one_of(allowed: tuple[str, ...]) -> tuple[Callable[[Any], bool], str]:
    return allowed.__contains__, "one of " + ", ".join(allowed)


def or_null(rule: Callable[[Any], bool], text: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value is None or rule(value), f"{text}, or null"


def or_auto(rule: Callable[[Any], bool], text: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value == "auto" or rule(value), f"{text}, or auto"


def is_part(value: Any) -> bool:
    return is_number(value) and 0 < value < 1


POSITIVE = (is_positive, "a number above 0")
COUNT = (is_count, "a whole number above 0")
FLAG = (is_flag, "true or false")
PATH = (is_path, "the path of a folder")

RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": one_of(CHOICES["data"]),
    "profile": one_of(CHOICES["profile"]),
    "seed": (is_seed, "a whole number, 0 or above"),
    "precision": one_of(CHOICES["precision"]),
    "clip_norm": or_null(*POSITIVE),
    "accumulate": COUNT,
    "eval_first": FLAG,
    **dict.fromkeys(
        ("group", "row", "label"), or_null(is_name, "a name, in quotes where it is a number")
    ),
    "optim.lr": POSITIVE,
    "optim.betas": (are_betas, "a list of two or more numbers in [0, 1)"),
    "optim.eps": (are_not_negative, "a number, 0 or above"),
    "optim.weight_decay": (is_not_negative, "a number, 0 or above"),
    "train.device": (is_device, "auto, cpu, cuda or cuda:N"),
    "train.compile": FLAG,
    "train.deterministic": FLAG,
    "train.artifacts": FLAG,
    "train.loss_every": or_null(*COUNT),
    "train.checkpoint_seconds": (is_not_negative, "a number of seconds, 0 or above"),
    "train.pause_at": or_null(is_part, "a number between 0 and 1"),
    "sweep.jobs_per_device": or_auto(*COUNT),
    "sweep.devices_per_run": COUNT,
    "sweep.runs_per_job": or_auto(*COUNT),
    "paths.runs": PATH,
    "paths.data": PATH,
    "paths.reports": PATH,
}


TOO_LARGE = 2**63

# The part of a config whose keys depend on what is chosen; the keys of all others are fixed.
VARYING = "optim"


def check_values(config: dict[str, Any]) -> None:
    """Check a run's config against RULES.

    Raises:
        BadInput: names the key, the value and what is allowed.
    """
    check_leaves(config)
    for key, (_, allowed) in RULES.items():
        part, _, name = key.rpartition(".")
        values = config.get(part) if part else config
        if not isinstance(values, dict):
            raise BadInput(f"{part}={spell(values)}: must hold keys, as in {key}=VALUE")
        if name in values:
            check_value(key, values[name])
        elif part != VARYING:
            raise BadInput(f"{key} is missing: must be {allowed}")
    task_data = config["task"].get("data", config["data"])
    if task_data != config["data"]:
        raise BadInput(f"task.data={spell(task_data)}: set data={spell(task_data)} instead")


def check_value(key: str, value: Any) -> None:
    """Raise BadInput where RULES do not allow this value of a key."""
    rule, allowed = RULES[key]
    if not rule(value):
        meant = did_you_mean(spell(value), CHOICES.get(key, ()))
        raise BadInput(f"{key}={spell(value)}{meant}: must be {allowed}")


def check_optimizer_values(key: str, settings: dict[str, Any]) -> None:
    """Check a part of an optimizer's config against the RULES for optimizers."""
    for name, value in settings.items():
        if f"optim.{name}" in RULES:
            rule, allowed = RULES[f"optim.{name}"]
            if not rule(value):
                raise BadInput(f"{key}.{name}={spell(value)}: must be {allowed}")


def check_leaves(value: Any, key: str = "") -> None:
    """Raise BadInput for a value that no config can hold, under whatever key."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            check_leaves(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, int) and abs(value) >= TOO_LARGE:
        raise BadInput(f"{shorten(key)}: a whole number must be less than 2^63")
    elif isinstance(value, str) and not value.isprintable():
        raise BadInput(f"{shorten(key)}={spell(value)}: holds a character that cannot be printed")


def refusal(part: str, error: Exception) -> BadInput:
    """The error that a class raised for its arguments, as a sentence about a part of the config."""
    from hydra.errors import InstantiationException

    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    reason = str(cause or error).partition("\n")[0]
    return BadInput(f"{part}: {reason or type(cause or error).__name__}")


def check_kind(instance: Any, expected: type, part: str) -> None:
    if not isinstance(instance, expected):
        shown = shorten(repr(instance))
        raise BadInput(f"{part}: its _target_ makes {shown}, and no {expected.__name__}")
