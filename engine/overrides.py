"""What is typed as KEY=VALUE, read by Hydra's own parser: every command reads it here."""

import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException

from engine.checks import MOST_RUNS, BadInput
from engine.hydra_internals import (
    ChoiceSweep,
    FloatRange,
    Override,
    OverridesParser,
    OverrideType,
    RangeSweep,
)
from engine.texts import hydra_text, shorten

MOST_BRACKETS = 100
LONGEST_KEY = 200


def read_override(typed: str) -> Override:
    """One override.

    Raises:
        BadInput: it cannot be read.
    """
    return _read_override(typed)


@functools.lru_cache(maxsize=4096)
def _read_override(typed: str) -> Override:
    if not typed.isprintable():
        raise BadInput(f"{shorten(typed)}: holds a character that cannot be printed")
    try:
        if max(map(typed.count, "[{(")) > MOST_BRACKETS:
            raise ValueError("its parser takes minutes")
        override = OverridesParser.create().parse_override(typed)
        if 0 < len(override.key_or_group) <= LONGEST_KEY:
            return override
        raise ValueError("its key is none")
    except (HydraException, ValueError, RecursionError) as error:
        raise BadInput(
            f"{shorten(typed)}: cannot be read; write KEY=VALUE, and symbols in quotes, as in "
            "KEY=\"'a, b'\""
        ) from error


def name_of(override: Override) -> str:
    """Its key: optim.lr, or the group of a file's choice and the place of it, optim@task.x."""
    place = f"@{override.package}" if override.package else ""
    return override.key_or_group + place


def parts_of(override: Override) -> set[str]:
    """The parts of a config that it is about: {"task"} for task.steps=2, both for optim@task.x."""
    return {re.split(r"[./]", key, maxsplit=1)[0] for key in name_of(override).split("@")}


def is_change(override: Override) -> bool:
    """Whether it is written without +, ++ and ~."""
    return override.type == OverrideType.CHANGE


def is_added(override: Override) -> bool:
    """Whether it is written with + or ++."""
    return override.type in (OverrideType.ADD, OverrideType.FORCE_ADD)


def is_hydras(typed: str) -> bool:
    """Whether it is about Hydra itself, as hydra/launcher=… is."""
    return "hydra" in parts_of(read_override(typed))


def given(typed: Iterable[str], key: str) -> list[Override]:
    """Those that set a key, or something inside it, the last of which holds."""
    read_all = map(read_override, typed)
    return [o for o in read_all if o.key_or_group == key or o.key_or_group.startswith(f"{key}.")]


def quoted(typed: str) -> str:
    """An override of a folder in quotes, unless Hydra reads it as one text or as none anyway."""
    key, _, path = typed.partition("=")
    if not key.startswith("paths.") or not path:
        return typed
    with suppress(BadInput):
        read = read_override(typed)
        if not read.is_sweep_override() and isinstance(read.value(), str | None):
            return typed
    return f"{key}={hydra_text(path)}"


# -- the keys of a command that is no Hydra app ----------------------------------------------------


def settings(
    typed: Sequence[str], defaults: Mapping[str, Any], command: str
) -> tuple[dict[str, Any], list[str]]:
    """The values of a command's own keys, and what else is typed.

    Raises:
        BadInput: something is no KEY=VALUE, or a key of the command is there twice or in another
            form than KEY=VALUE with one value.
    """
    values: dict[str, Any] = dict(defaults)
    said: set[str] = set()
    others = []
    for text in typed:
        if text.startswith("-") or ("=" not in text and not text.startswith("~")):
            raise BadInput(f"{shorten(text)}: write KEY=VALUE; see {command} --help")
        override = read_override(text)
        key = override.key_or_group
        if key not in defaults:
            others.append(text)
            continue
        if not is_change(override) or override.package is not None:
            raise BadInput(f"{shorten(text)}: write {key}=VALUE; see {command} --help")
        if override.is_sweep_override() or isinstance(override.value(), list | dict):
            raise BadInput(f"{shorten(text)}: must be one value; quote one that holds symbols")
        if key in said:
            raise BadInput(f"{shorten(text)}: {key} is given twice")
        said.add(key)
        values[key] = override.value()
    return values, others


def only_settings(
    typed: Sequence[str], defaults: Mapping[str, Any], command: str
) -> dict[str, Any]:
    """The values of a command's keys, of a command that has no others.

    Raises:
        BadInput: as `settings`, and for any other key.
    """
    values, others = settings(typed, defaults, command)
    if others:
        raise BadInput(f"{shorten(others[0])}: must be one of {', '.join(defaults)}, as KEY=VALUE")
    return values


# -- several runs of one command line --------------------------------------------------------------


def expand(typed: Sequence[str], loader: ConfigLoader, multirun: bool) -> list[list[str]]:
    """The overrides of each run that a command line asks for.

    With `multirun`, as Hydra's own sweeper makes them, and without those of Hydra itself.

    Raises:
        BadInput: there are values that cannot be counted, none, or too many.
    """
    if not multirun:
        return [[*typed]]
    lists: dict[str, list[str]] = {}
    asked = 1
    for text in typed:
        override = read_override(text)
        if is_hydras(text):
            continue
        key = override.get_key_element()
        if not override.is_sweep_override():
            lists[key] = [text]
            continue
        asked *= count(override, text, loader)
        if asked > MOST_RUNS:
            raise BadInput(f"{shorten(text)}: asks for {asked:,} runs; at most {MOST_RUNS:,}")
        # Hydra's own sweeper says them like this, too.
        lists[key] = [f"{key}={value}" for value in values_of(override, text, loader)]
    return [list(run) for run in itertools.product(*lists.values())]


def count(override: Override, text: str, loader: ConfigLoader) -> int:
    """How many values there are, without making them."""
    if not override.is_discrete_sweep():
        raise BadInput(
            f"{shorten(text)}: has no end of values; list some, as in KEY=1,2 or KEY=range(0,3)"
        )
    swept = override._value
    if isinstance(swept, RangeSweep):
        found = length(swept, text)
    elif isinstance(swept, ChoiceSweep):
        if any(isinstance(value, RangeSweep | ChoiceSweep) for value in swept.list):
            raise BadInput(f"{shorten(text)}: values are single ones, or one range")
        found = len(swept.list)
    else:
        found = len(values_of(override, text, loader))
    if not found:
        raise BadInput(f"{shorten(text)}: there is no such value")
    return found


def length(swept: RangeSweep, text: str) -> int:
    try:
        values = swept.range()
        if not isinstance(values, FloatRange):
            return len(values)
        first, end, step = map(Decimal, (values.start, values.stop, values.step))
        return max(0, math.ceil((end - first) / step))
    except (ArithmeticError, ValueError) as error:
        raise BadInput(f"{shorten(text)}: write range(FIRST, END, STEP) with a STEP") from error


def values_of(override: Override, text: str, loader: ConfigLoader) -> list[str]:
    try:
        return list(replace(override, config_loader=loader).sweep_string_iterator())
    except (HydraException, ValueError) as error:
        raise BadInput(f"{shorten(text)}: {' '.join(str(error).split())}") from error
